"""The token tree in plain PyTorch: python token_tree_plain.py"""

import torch
from torch import nn


class Decoder(nn.Module):
    """Two layers, four heads; who may look at whom is an argument."""

    def __init__(self, words=50, width=32, longest=64):
        super().__init__()
        self.word = nn.Embedding(words, width)
        self.position = nn.Embedding(longest, width)
        mix = [nn.Linear(width, 3 * width) for _ in range(2)]
        think = [nn.Linear(width, width) for _ in range(2)]
        self.mix, self.think = nn.ModuleList(mix), nn.ModuleList(think)
        self.head = nn.Linear(width, words)

    def forward(self, tokens, positions, mask):
        """Logits of the next token at every place, (n, words)."""
        x = self.word(tokens) + self.position(positions)
        for mix, think in zip(self.mix, self.think, strict=True):
            q, k, v = mix(x).view(len(x), 3, 4, -1).permute(1, 2, 0, 3)
            attend = nn.functional.scaled_dot_product_attention
            seen = attend(q, k, v, mask)
            x = x + seen.transpose(0, 1).flatten(1)
            x = x + think(nn.functional.gelu(x))
        return self.head(x)


def grow(prompt, answers):
    """Tokens, positions, mask; where each answer's tokens are read."""
    tokens, parent = list(prompt), [i - 1 for i in range(len(prompt))]
    child, reads = {}, []
    for answer in answers:
        place, read = len(prompt) - 1, []  # from the prompt's last token
        for token in answer:
            read.append((place, token))  # log p(token) is read before it
            if len(read) == len(answer):
                break  # nothing follows a last token: it is not fed
            if (place, token) not in child:
                child[place, token] = len(tokens)
                tokens.append(token)
                parent.append(place)
            place = child[place, token]
        reads.append(read)
    positions, mask = [0] * len(tokens), torch.eye(len(tokens)).bool()
    for i in range(1, len(tokens)):
        positions[i] = positions[parent[i]] + 1  # restarts at branches
        mask[i] |= mask[parent[i]]  # itself, and what its parent sees
    return torch.tensor(tokens), torch.tensor(positions), mask, reads


def score_tree(model, prompt, answers):
    """log p(answer | prompt) of all answers, in one pass."""
    *fed, reads = grow(prompt, answers)
    logp = model(*fed).log_softmax(dim=-1)
    sums = [sum(logp[where] for where in read) for read in reads]
    return torch.stack(sums)


def score_apart(model, prompt, answers):
    """The same by definition: one pass per answer, prompt included."""
    found = []
    for answer in answers:
        tokens = torch.tensor([*prompt, *answer[:-1]])
        n = len(tokens)
        causal = torch.ones(n, n).tril().bool()
        logits = model(tokens, torch.arange(n), causal)
        places = range(len(prompt) - 1, n)
        found.append(logits.log_softmax(dim=-1)[places, answer].sum())
    return torch.stack(found)


def gradient(model, scores):
    """Of the mean loss, all parameters as one vector."""
    parts = torch.autograd.grad(-scores.mean(), model.parameters())
    return torch.cat([part.flatten() for part in parts])


if __name__ == "__main__":
    torch.manual_seed(0)
    model, prompt = Decoder(), [1, 2, 3, 4]  # Name a fruit :
    # a ripe apple, a ripe pear, a plum, a plum; 0 ends an answer
    answers = [[2, 5, 6, 0], [2, 5, 7, 0], [2, 8, 0], [2, 8, 0]]
    tree = score_tree(model, prompt, answers)
    apart = score_apart(model, prompt, answers)
    g_tree, g_apart = gradient(model, tree), gradient(model, apart)
    print("fed:", len(grow(prompt, answers)[0]), "tokens")
    print("log p differs by", (tree - apart).abs().max().item())
    print("gradients by", (g_tree - g_apart).norm().item(), end=" ")
    print("of", g_apart.norm().item())
