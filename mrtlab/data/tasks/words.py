"""Word lists, written for this book. Countries and cities are invented, so that nobody has met them before."""

FRUITS = (
    "apple", "pear", "plum", "mango", "cherry", "banana", "lemon", "fig", "grape", "peach", "melon", "kiwi",
    "orange", "papaya", "lime", "apricot", "quince", "guava", "date", "raspberry",
)  # fmt: skip
VEGETABLES = (
    "carrot", "potato", "onion", "leek", "cabbage", "pea", "bean", "beet", "celery", "spinach", "pumpkin", "radish",
    "turnip", "garlic", "kale", "fennel",
)  # fmt: skip
JOBS = (
    "teacher", "nurse", "farmer", "baker", "pilot", "painter", "doctor", "lawyer", "cook", "builder", "writer",
    "driver", "singer", "dentist", "sailor", "tailor", "judge", "miner", "actor", "plumber", "chemist", "gardener",
    "librarian", "mechanic",
)  # fmt: skip
COLOURS = (
    "red", "blue", "green", "yellow", "black", "white", "brown", "pink", "purple", "grey", "orange", "gold",
)  # fmt: skip
ANIMALS = (
    "dog", "cat", "horse", "cow", "fox", "wolf", "bear", "owl", "frog", "goat", "sheep", "mouse", "tiger", "whale",
    "snail", "eagle", "otter", "camel",
)  # fmt: skip
WOMEN = (
    "Anna", "Mira", "Sofia", "Lena", "Clara", "Nora", "Aisha", "Mei", "Ines", "Priya", "Zoe", "Leila", "Hana", "Rosa",
    "Tara", "Elif", "Kaya", "Olga", "Yuki", "Nadia",
)  # fmt: skip
MEN = (
    "Tom", "Omar", "Luca", "Noah", "Ivan", "Kofi", "Arjun", "Diego", "Hugo", "Samir", "Ben", "Felix", "Kenji", "Pavel",
    "Jonas", "Malik", "Rafael", "Emil", "Tariq", "Axel",
)  # fmt: skip
NAMES = WOMEN + MEN
COUNTRIES = (
    "Velara", "Ostrin", "Kandor", "Mirovia", "Talune", "Brennia", "Solvane", "Quorra", "Ardenne", "Lumis", "Padova",
    "Norrland", "Zephra", "Ithal", "Corvia", "Dunmar", "Elbonia", "Fennmark", "Galdor", "Hesperia",
)  # fmt: skip
CITIES = (
    "Arkos", "Belmar", "Corin", "Dovra", "Elsin", "Farrow", "Gant", "Harlow", "Ilmar", "Jorun", "Kessel", "Lorne",
    "Marn", "Nevis", "Orsk", "Pell", "Quill", "Rook", "Sarn", "Tolm", "Umber", "Varn", "Wick", "Xan", "Yarrow", "Zell",
    "Ashby", "Brack", "Crane", "Delph", "Eston", "Flint", "Grove", "Holt", "Iver", "Junip", "Kirk", "Linden", "Moss",
    "Nord",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
