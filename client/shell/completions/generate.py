"""Writes the completions for bash, zsh and fish from what the ttylock command
says of itself: its --help, and that of each of its commands, which print the one
table of them.

    generate.py TTYLOCK DIRECTORY

What follows an option or a command is completed by the name that the help gives
it: COMMAND, PID, ID, FILE, PATH; COLUMNS are those that the same help lists;
anything else (TEXT, SECS, N) is not completed.
"""
import os
import re
import subprocess
import sys
from collections import namedtuple

Option = namedtuple("Option", "short long value summary")  # "-w" or "", "--x" or "", "SECS" or ""
Command = namedtuple("Command", "name summary operand options columns")

OPTION = re.compile(r" {2,}(-\w)?(?:, +)?(--[a-z][a-z-]*)?(?:[ =]([A-Z][A-Z|]*))?(?: {2,}(.*))?$")
OF_ALL = Option("-h", "--help", "", "Show help")
OF_NONE = (OF_ALL, Option("-V", "--version", "", "Show the version"))


def help_of(ttylock, *args):
    out = subprocess.run([ttylock, *args, "--help"], stdin=subprocess.DEVNULL, capture_output=True,
                         text=True, timeout=30)
    if out.returncode:
        sys.exit(f"{' '.join([ttylock, *args])} --help: {out.stderr}")
    return out.stdout


def operand_of(usage):
    """The last kind of operand that we know how to complete."""
    for kind in ("COMMAND", "PID", "ID", "FILE"):
        if re.search(rf"\b{kind}\b", usage):
            return "ID" if kind == "PID" and re.search(r"\bID\b", usage) else kind
    return ""


def options_of(text):
    for line in text.splitlines():
        m = OPTION.match(line)
        if m and (m[1] or m[2]) and m[2] != "--help":
            summary = re.split(r"[;:(]", m[4] or "")[0].strip()
            yield Option(m[1] or "", m[2] or "", m[3] or "", summary)


def commands_of(ttylock):
    for name, summary in re.findall(r"^  ([a-z][a-z-]*) +(\S.*)$", help_of(ttylock), re.M):
        text = help_of(ttylock, name)
        usage = text.splitlines()[0].partition(name)[2]
        columns = re.findall(r"^  ([A-Z]+) +\S", text, re.M)
        yield Command(name, summary, operand_of(usage), [*options_of(text), OF_ALL], columns)


def names(option):
    return [name for name in (option.short, option.long) if name]


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


# --- bash ---------------------------------------------------------------------

def bash(commands):
    cases = ""
    for c in commands:
        valued = [(n, o.value) for o in c.options if o.value for n in names(o)]
        words = " ".join(o.long or o.short for o in c.options)
        kinds = " ".join(f"{n}:{value}" for n, value in valued)
        columns = f" columns='{' '.join(c.columns)}'" if c.columns else ""
        cases += f"\t{c.name}) options='{words}' valued='{kinds}' operand={c.operand}{columns} ;;\n"
    words = " ".join([c.name for c in commands] + [o.long for o in OF_NONE])
    return f"""# Completion of ttylock(1) for bash. Generated.

# The requests that the daemon has, by their ids.
_ttylock_ids()
{{
	ttylock status 2>/dev/null | awk '
		NR == 1 {{ for (i = 1; i <= NF; i++) if ($i == "ID") column = i }}
		column && $column ~ /^[0-9]+$/ {{ print $column }}'
}}

_ttylock_value()
{{
	case $1 in
	PID) COMPREPLY=($(compgen -W "$(ps -u "$EUID" -o pid=)" -- "$cur")) ;;
	ID*) COMPREPLY=($(compgen -W "$(_ttylock_ids)" -- "$cur")) ;;
	COLUMNS)
		local before=
		[[ $cur == *,* ]] && before=${{cur%,*}},
		[[ $cur == +* && ! $before ]] && before=+
		compopt -o nospace 2>/dev/null
		COMPREPLY=($(compgen -P "$before" -W "$columns" -- "${{cur#"$before"}}"))
		;;
	FILE | PATH)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	esac
}}

# The command that begins at the word $1.
_ttylock_program()
{{
	if declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	elif ((COMP_CWORD == $1)); then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	else
		_ttylock_value FILE
	fi
}}

_ttylock()
{{
	local cur=${{COMP_WORDS[COMP_CWORD]}} options= valued= operand= columns= word i=2 of= ended=

	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W '{words}' -- "$cur"))
		return
	fi
	case ${{COMP_WORDS[1]}} in
{cases}	*) return ;;
	esac

	# What stands before the word to complete.
	while ((i < COMP_CWORD)); do
		word=${{COMP_WORDS[i]}}
		if [[ $word == -- ]]; then
			ended=1
			((i++))
			break
		elif [[ " $valued" == *" $word:"* ]]; then
			((i++))
			[[ ${{COMP_WORDS[i]}} == = ]] && ((i++))
			((i >= COMP_CWORD)) && of=$word
			((i++))
		elif [[ $word == -?* ]]; then
			((i++))
		else
			break
		fi
	done

	if [[ $of ]]; then
		[[ $cur == = ]] && cur=
		of=" $valued " of=${{of##* "$word":}}
		_ttylock_value "${{of%% *}}"
	elif [[ ! $ended && $cur == -* && ($i -ge COMP_CWORD || $operand != COMMAND) ]]; then
		COMPREPLY=($(compgen -W "$options" -- "$cur"))
	elif [[ $operand == COMMAND ]]; then
		_ttylock_program "$i"
	else
		_ttylock_value "$operand"
	fi
}}

complete -F _ttylock ttylock
"""


# --- zsh ----------------------------------------------------------------------

ZSH_ACTION = {"PID": "_pids", "ID": "_ttylock_ids", "FILE": "_files", "PATH": "_files"}


def zsh_option(o, columns):
    summary = re.sub(r"([\[\]:\\])", r"\\\1", o.summary)
    action = ZSH_ACTION.get(o.value.split("|")[0], " ")
    if o.value == "COLUMNS":
        action = "_values -s , column " + " ".join(columns)
    value = f":{o.value}:{action}" if o.value else ""
    excluded = "(" + ("- *" if o == OF_ALL else " ".join(names(o))) + ")"
    for name in names(o):
        assign = "" if not o.value else "=" if name.startswith("--") else "+"
        yield quoted(f"{excluded}{name}{assign}[{summary}]{value}")


def zsh(commands):
    cases = ""
    for c in commands:
        specs = [s for o in c.options for s in zsh_option(o, c.columns)]
        if c.operand == "COMMAND":
            specs += ["'(-)1:command: _command_names -e'", "'*::argument: _normal'"]
        elif c.operand:
            specs.append(f"'1:{c.operand}:{ZSH_ACTION[c.operand]}'")
        cases += f"\t{c.name})\n\t\t_arguments -s -S " + " \\\n\t\t\t".join(specs) + "\n\t\t;;\n"
    listed = "\n".join("\t\t" + quoted(f"{c.name}:{c.summary}") for c in commands)
    return f"""#compdef ttylock
# Completion of ttylock(1) for zsh. Generated.

# The requests that the daemon has, by their ids.
_ttylock_ids() {{
	local -a ids
	ids=($(ttylock status 2>/dev/null | awk '
		NR == 1 {{ for (i = 1; i <= NF; i++) if ($i == "ID") column = i }}
		column && $column ~ /^[0-9]+$/ {{ print $column }}'))
	compadd -X 'request' -a ids
}}

_ttylock() {{
	local curcontext="$curcontext" state line
	typeset -A opt_args
	local -a commands
	commands=(
{listed}
	)

	_arguments -C \\
		'(- *)'{{-h,--help}}'[{OF_NONE[0].summary}]' \\
		'(- *)'{{-V,--version}}'[{OF_NONE[1].summary}]' \\
		'1:command:->command' '*::argument:->argument' && return
	if [[ $state == command ]]; then
		_describe command commands
		return
	fi
	case $words[1] in
{cases}	esac
}}

_ttylock "$@"
"""


# --- fish ---------------------------------------------------------------------

FISH_VALUES = {"PID": "(__fish_complete_pids)", "ID": "(__ttylock_ids)"}


def fish_option(o, columns=()):
    flags = (f" -s {o.short[1:]}" if o.short else "") + (f" -l {o.long[2:]}" if o.long else "")
    kind = o.value.split("|")[0]
    if kind in ("FILE", "PATH"):
        flags += " -r -F"
    elif kind:
        flags += " -x"
    if kind == "COLUMNS":
        flags += f" -a '(__fish_append , {' '.join(columns)})'"
    if kind in FISH_VALUES:
        flags += f" -a '{FISH_VALUES[kind]}'"
    return f"{flags} -d {quoted(o.summary)}"


def fish(commands):
    lines = []
    for c in commands:
        lines.append(f"complete -c ttylock -n '__ttylock_in' -a {c.name} -d {quoted(c.summary)}")
    lines += [f"complete -c ttylock -n '__ttylock_in'{fish_option(o)}" for o in OF_NONE]
    for c in commands:
        lines.append("")
        where = f"complete -c ttylock -n '__ttylock_in {c.name}'"
        lines += [where + fish_option(o, c.columns) for o in c.options]
        if c.operand == "COMMAND":
            valued = " ".join(n for o in c.options if o.value for n in names(o))
            lines.append(f"{where} -x -a '(__fish_complete_subcommand --fcs-skip=2 {valued})'")
        elif c.operand == "FILE":
            lines.append(f"{where} -F")
        elif c.operand:
            lines.append(f"{where} -x -a '{FISH_VALUES[c.operand]}'")
    return """# Completion of ttylock(1) for fish. Generated.

# Whether the command line is in that command of ttylock, or, without one, in none yet.
function __ttylock_in
	set -l words (commandline -opc)
	if set -q argv[1]
		test (count $words) -gt 1; and test $words[2] = $argv[1]
	else
		test (count $words) -eq 1
	end
end

# The requests that the daemon has, by their ids.
function __ttylock_ids
	ttylock status 2>/dev/null | awk '
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == "ID") column = i }
		column && $column ~ /^[0-9]+$/ { print $column }'
end

complete -c ttylock -f
""" + "\n".join(lines) + "\n"


def main(ttylock, directory):
    commands = list(commands_of(ttylock))
    os.makedirs(directory, exist_ok=True)
    for name, write in (("ttylock.bash", bash), ("_ttylock", zsh), ("ttylock.fish", fish)):
        with open(os.path.join(directory, name), "w") as f:
            f.write(write(commands))


if __name__ == "__main__":
    main(*sys.argv[1:])
