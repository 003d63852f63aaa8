"""The token tree in plain PyTorch, nothing hidden. Run it: python token_tree_plain.py"""

import torch
from torch import nn


class Decoder(nn.Module):
    """Two layers of attention with learned positions. Who may look at whom is an argument."""

    def __init__(self, words=50, width=32, heads=4, longest=64, layers=2):
        super().__init__()
        self.heads = heads
        self.word, self.position = nn.Embedding(words, width), nn.Embedding(longest, width)
        self.attend = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(layers))
        self.think = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.head = nn.Linear(width, words)

    def forward(self, tokens, positions, mask):
        """(n,) tokens, (n,) positions, (n, n) mask -> (n, words) logits of the next token."""
        x = self.word(tokens) + self.position(positions)
        for attend, think in zip(self.attend, self.think, strict=True):
            q, k, v = attend(x).view(len(x), 3, self.heads, -1).permute(1, 2, 0, 3)
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = x + mixed.transpose(0, 1).flatten(1)
            x = x + think(nn.functional.gelu(x))
        return self.head(x)


def grow(prompt, answers):
    """Tokens to feed, their positions, the mask; and for every answer where its tokens are read off."""
    tokens, parent, child, reads = list(prompt), [i - 1 for i in range(len(prompt))], {}, []
    for answer in answers:
        place, read = len(prompt) - 1, []  # every answer starts at the prompt's last token
        for step, token in enumerate(answer):
            read.append((place, token))  # log p(token) is read at the token before it
            if step + 1 == len(answer):
                break  # nothing follows the last token: it is read, not fed
            if (place, token) not in child:
                child[place, token] = len(tokens)
                tokens.append(token)
                parent.append(place)
            place = child[place, token]
        reads.append(read)
    positions, mask = [0] * len(tokens), torch.eye(len(tokens), dtype=torch.bool)
    for i, before in enumerate(parent):
        if before >= 0:
            positions[i] = positions[before] + 1  # restarts at every branch
            mask[i] |= mask[before]  # itself, and whatever the token before it sees
    return torch.tensor(tokens), torch.tensor(positions), mask, reads


def score_tree(model, prompt, answers):
    """log p(answer | prompt) of all answers, in one pass."""
    tokens, positions, mask, reads = grow(prompt, answers)
    logp = model(tokens, positions, mask).log_softmax(dim=-1)
    return torch.stack([sum(logp[place, token] for place, token in read) for read in reads])


def score_apart(model, prompt, answers):
    """The same by definition: one causal pass for each answer, with its own copy of the prompt."""
    found = []
    for answer in answers:
        fed = torch.tensor([*prompt, *answer[:-1]])
        logp = model(fed, torch.arange(len(fed)), torch.ones(len(fed), len(fed)).tril().bool()).log_softmax(dim=-1)
        found.append(logp[range(len(prompt) - 1, len(fed)), answer].sum())
    return torch.stack(found)


def compare(model, prompt, answers):
    """Largest difference of a log-probability; and of the mean loss's gradient, relative to its length."""
    both = [score(model, prompt, answers) for score in (score_tree, score_apart)]
    tree, apart = (torch.cat([g.flatten() for g in torch.autograd.grad(-s.mean(), model.parameters())]) for s in both)
    return (both[0] - both[1]).abs().max().item(), ((tree - apart).norm() / apart.norm()).item()


if __name__ == "__main__":
    torch.manual_seed(0)
    fruits = [[2, 5, 6, 0], [2, 5, 7, 0], [2, 8, 0], [2, 8, 0]]  # a ripe apple, a ripe pear, a plum, a plum; 0 ends
    forward, gradient = compare(Decoder(), [1, 2, 3, 4], fruits)
    print(f"fed {len(grow([1, 2, 3, 4], fruits)[0])} tokens instead of {sum(4 + len(a) - 1 for a in fruits)}")
    print(f"log-probabilities differ by {forward:.0e} nats, gradients by {gradient:.0e} of their length")
