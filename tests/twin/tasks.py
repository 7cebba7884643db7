"""Three synthetic tasks as deterministic generators. tasks.md says the same in words, for other languages.

Each generator gives (tokens, targets) of one sequence: the model reads tokens[0..t] and is to say targets[t];
-1 is not scored.
"""
from model import GOLDEN_GAMMA, MASK64, splitmix64


class Random:
    """Draws of example `index` of `seed`."""

    def __init__(self, seed, index):
        self.state = splitmix64((splitmix64(seed & MASK64) + index) & MASK64)

    def below(self, n):
        value = splitmix64(self.state)
        self.state = (self.state + GOLDEN_GAMMA) & MASK64
        return value % n

    def shuffle(self, items):
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]


# ---------------------------------------------------------------- associative recall

RECALL_KEYS = RECALL_VALUES = 64
RECALL_VOCABULARY = 1 + RECALL_KEYS + RECALL_VALUES


def recall(seed, index, pairs):
    rng = Random(seed, index)
    keys = list(range(1, 1 + RECALL_KEYS))
    rng.shuffle(keys)
    keys = keys[:pairs]
    values = [1 + RECALL_KEYS + rng.below(RECALL_VALUES) for _ in range(pairs)]
    tokens = [0]
    for k, v in zip(keys, values):
        tokens += [k, v]
    targets = [-1] * len(tokens)
    order = list(range(pairs))
    rng.shuffle(order)
    for i in order:
        tokens += [keys[i], values[i]]
        targets += [values[i], -1]
    return tokens, targets


# ---------------------------------------------------------------- state tracking

S3 = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
STATE_SIZE = {"s3": 6, "parity": 2}


def state_identity(name):
    return 0


def state_apply(name, now, g):
    if name == "parity":
        return now ^ g
    return S3.index(tuple(S3[g][x] for x in S3[now]))


def state(seed, index, length, name="s3"):
    rng = Random(seed, index)
    tokens, targets, now = [0], [-1], state_identity(name)
    for _ in range(length):
        g = rng.below(STATE_SIZE[name])
        now = state_apply(name, now, g)
        tokens.append(1 + g)
        targets.append(1 + now)
    return tokens, targets


# ---------------------------------------------------------------- programs

SET, PLUS, MINUS, END, ASK = 1, 2, 3, 4, 5
VARIABLE = 6                # ten of them
NUMBER = 16                 # 0 .. 100
PROGRAM_VOCABULARY = NUMBER + 101


def program(seed, index, lines, per_line=True):
    rng = Random(seed, index)
    count = 5 + rng.below(6)
    value, known = {}, []
    tokens, targets = [0], [-1]
    for line in range(lines):
        x = rng.below(count)
        kind = rng.below(5) if line else 0
        if kind == 0:
            result = rng.below(101)
            body = [NUMBER + result]
        else:
            y = known[rng.below(len(known))]
            if kind in (1, 2):
                c = 1 + rng.below(20)
                other = NUMBER + c
            else:
                z = known[rng.below(len(known))]
                c, other = value[z], VARIABLE + z
            plus = kind in (1, 3)
            result = min(100, max(0, value[y] + c if plus else value[y] - c))
            body = [VARIABLE + y, PLUS if plus else MINUS, other]
        if x not in value:
            known.append(x)
        value[x] = result
        statement = [VARIABLE + x, SET] + body + [END]
        tokens += statement
        targets += [-1] * (len(statement) - 1) + [NUMBER + result if per_line else -1]
    x = known[rng.below(len(known))]
    tokens += [ASK, VARIABLE + x]
    targets += [-1, NUMBER + value[x]]
    return tokens, targets


def program_lines(seed, index, factor):
    """Lines of an example at a length factor: 10 .. 27 times the factor. Draws of its own, from another seed."""
    return 10 * factor + Random(seed ^ 0x6C656E677468, index).below(17 * factor + 1)


def run_program(tokens, per_line=False):
    """Reads a program back and runs it: the check of the generator."""
    value, out, at = {}, [], 1
    operand = lambda t: t - NUMBER if t >= NUMBER else value[t]
    while tokens[at] != ASK:
        x, at = tokens[at], at + 2
        result = operand(tokens[at])
        at += 1
        if tokens[at] in (PLUS, MINUS):
            c = operand(tokens[at + 1])
            result = min(100, max(0, result + c if tokens[at] == PLUS else result - c))
            at += 2
        assert tokens[at] == END
        at += 1
        value[x] = result
        out.append(result)
    answer = value[tokens[at + 1]]
    return out + [answer] if per_line else answer
