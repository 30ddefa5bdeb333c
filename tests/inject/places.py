"""The places of a program that call a wrapped function: where, and in which source."""
import re
import subprocess


class Place:
    """One call in the source. sites: the addresses by which the wrapper knows it, of which
    there are several where the compiler has copied it."""

    def __init__(self, name, file, function):
        self.name, self.file, self.function = name, file, function
        self.sites = set()

    def __str__(self):
        return f"{self.file}: {self.function}, {self.name}"


def output(*argv, **more):
    return subprocess.run(argv, capture_output=True, text=True, check=True, **more).stdout


def disassembled(binary):
    """(symbol, address, next address, instruction, target) of each jump out and call."""
    symbol, last = None, None
    for line in output("objdump", "-d", "--no-show-raw-insn", binary).splitlines():
        begin = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        part = re.match(r" +([0-9a-f]+):\t(\S+)(?:\s+(\S+))?(?:\s+<([^+>]+)>)?", line)
        if part and last:
            yield (*last[:2], int(part.group(1), 16), *last[2:])
            last = None
        if begin:
            symbol = begin.group(1)
        elif part and part.group(2) in ("call", "jmp"):
            last = symbol, int(part.group(1), 16), part.group(2), part.group(4) or "*"


def sources(binary, addresses):
    """address: (file, line, function) of the innermost that is no header's."""
    told = output("addr2line", "-e", binary, "-f", "-i", "-a",
                  input="".join(f"{a:#x}\n" for a in addresses))
    found = {}
    for part in re.split(r"^0x", told, flags=re.M)[1:]:
        address, *lines = part.splitlines()
        frames = [(*re.match(r"(.*):(\S+)", file).groups(), function)
                  for function, file in zip(lines[::2], lines[1::2])]
        own = [f for f in frames if f[0].endswith(".c")] or frames
        found[int(address, 16)] = own[0]
    return found


def places_of(binary, directories):
    """All in the sources below the directories."""
    all_code = list(disassembled(binary))
    calls = [c for c in all_code if c[4].startswith("__wrap_")]
    source = sources(binary, [c[1] for c in calls])
    found, tails = {}, {}
    for symbol, address, after, kind, target in calls:
        file, line, function = source[address]
        inside = next((d for d in directories if f"/{d}/" in f"/{file}"), None)
        if inside is None:
            continue
        name = target.removeprefix("__wrap_")
        place = found.setdefault((name, file, line), Place(
            name, file[file.index(f"{inside}/"):], function))
        if kind == "call":
            place.sites.add(after)
        else:
            tails.setdefault((symbol, name), []).append(place)
    add_tails(tails, all_code)
    return list(found.values())


def add_tails(tails, all_code):
    """A jump at a function's end is known by where that function was called."""
    for (symbol, _), places in tails.items():
        for _, _, after, kind, target in all_code:
            if kind == "call" and target == symbol:
                for place in places:
                    place.sites.add(after)


class Seen:
    """What was called and failed, from the lines `site NAME ADDRESS CALLS FAILURES TRIED
    CODES` of all runs."""

    def __init__(self, text):
        self.tried, self.codes, self.failures = {}, {}, 0
        for name, address, failures, tried, codes in re.findall(
                r"^site (\w+) ([0-9a-f]+) \d+ (\d+) ([0-9a-f]+) (\d+)$", text, re.M):
            key = name, int(address, 16)
            self.tried[key] = self.tried.get(key, 0) | int(tried, 16)
            self.codes[key] = max(self.codes.get(key, 0), int(codes))
            self.failures += int(failures)

    def add_callbacks(self, places):
        """Places that nobody calls by name: the calls whose caller is not known."""
        known = {(p.name, site) for p in places for site in p.sites}
        for place in places:
            if not place.sites:
                place.sites = {site for name, site in set(self.tried) - known
                               if name == place.name}

    def errors_of(self, place):
        """(how many were tried, of how many); None: it was not reached."""
        keys = [(place.name, s) for s in place.sites if (place.name, s) in self.tried]
        if not keys:
            return None
        tried, codes = 0, 0
        for key in keys:
            tried |= self.tried[key]
            codes = max(codes, self.codes[key])
        return tried.bit_count(), codes
