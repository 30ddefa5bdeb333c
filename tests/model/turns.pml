/* The protocol of proto/ttylock.proto between clients and daemon: turns at the
 * terminals, nested grants, cancelling, release by force, stopped and killed
 * clients, and daemons that die at any point and are restarted on the ledger that
 * the last one left. docs/model.md says which function of the C code each
 * transition stands for; check_model.py runs it, for bounds given in the environment:
 *
 *   CLIENTS, TERMINALS
 *   DEATHS       of the daemon
 *   NEST         client 2 is below client 0: 1: it may ask under its grant, or not;
 *                2: it asks under it or not at all
 *   CANCELS, KILLS, STOPS, FORCES, DOUBLES     how often that happens, at most,
 *   TOTAL        and all of these together
 *   IN_ORDER     clients ask for the first time in the order of their numbers:
 *                nothing is lost by it where they are all alike
 *   BUG          a seeded bug, by number; 0: none
 *
 * Everything is used up at some time, so every run ends. What must come in the end
 * is therefore asserted where nobody can move any more, by Final; what must never
 * be, where it would begin. (rounds.pml has runs without an end.)
 *
 * A client has one request, and both go by one number. What the daemon has in
 * memory is gone when it dies (holds, absent); the ledger stays (line, record).
 * What a client knows is its own: state, token.
 */
#define N 3
#define T 2
#define NOBODY	 255
/* Two copies of each terminal's line: as the daemon has it, as it should be. */
#define LINE	 0
#define ASKED_IN T
#define SPOT(l, t, n) line[((l) + (t)) * N + (n)]
#define LENGTH(l, t) length[(l) + (t)]
#define FIRST(t) SPOT(LINE, t, 0)

mtype:message = {
	ASK, ASK_UNDER, ASK_TWICE, RECLAIM, RELEASE, CANCEL,	/* to the daemon */
	QUEUED, GRANTED, RELEASED, NOT_FOUND, DEADLOCK		/* to the client */
};
mtype:record = { NONE, WAITS, HOLDS };
mtype:state = { NEW, ASKED, WAITING, HELD, ENDED, DONE };
mtype:connection = { CLOSED, OPEN, BROKEN };

byte deaths, cancels, kills, stops, forces, doubles, total;

/* The other bounds, the same in all states. */
hidden byte CLIENTS, TERMINALS, NEST, IN_ORDER, BUG, DOUBLES, STOPS;

c_code {
	static int bound(const char *name)
	{
		const char *value = getenv(name);

		return value ? atoi(value) : 0;
	}
}

/* The ledger. */
byte line[2 * T * N + 1], length[2 * T];
mtype:record record[N] = NONE;
/* The daemon's memory. */
bool up = true;
bool holds[N], absent[N];
/* The connections. */
mtype:connection connection[N] = CLOSED;
chan up_to[N] = [3] of { mtype:message };
chan down_to[N] = [4] of { mtype:message };
/* The clients. */
byte terminal[N] = NOBODY;
mtype:state state[N] = NEW;
bool token[N], under[N], awaited, dead[N], heir[N], stopped[N];
/* Nobody's: for the properties alone. */
bool ousted[N];	       /* a person has ended its grant, whatever it believes */
bool owed[N];	       /* recorded as a holder, and not heard of since the restart */
bool served[N];	       /* its grant was told, or was just about to be */

hidden byte i, j, first;
hidden byte found;

/* What is left of each kind counts only while something is left of all. */
inline spend()
{
	total--;
	if
	:: total == 0 -> cancels = 0; kills = 0; stops = 0; forces = 0; doubles = 0
	:: else
	fi
}

/* --- the line of a terminal ------------------------------------------------- */

inline line_remove(l, c)
{
	i = 0;
	do
	:: i < LENGTH(l, terminal[c]) && SPOT(l, terminal[c], i) != c -> i++
	:: else -> break
	od;
	if
	:: i < LENGTH(l, terminal[c]) ->
		LENGTH(l, terminal[c])--;
		do
		:: i < LENGTH(l, terminal[c]) ->
			SPOT(l, terminal[c], i) = SPOT(l, terminal[c], i + 1);
			i++
		:: else -> break
		od;
		SPOT(l, terminal[c], i) = 0
	:: else
	fi
}

/* before: a client in the line, or NOBODY: last. */
inline line_insert(l, c, before)
{
	i = LENGTH(l, terminal[c]);
	found = 0;
	do
	:: before != NOBODY && i > 0 && !found ->
		i--;
		found = SPOT(l, terminal[c], i) == before;
		SPOT(l, terminal[c], i + 1) = SPOT(l, terminal[c], i)
	:: else -> break
	od;
	SPOT(l, terminal[c], i) = c;
	LENGTH(l, terminal[c])++
}

/* --- the daemon ------------------------------------------------------------- */

inline tell(c, m)
{
	if
	:: connection[c] == OPEN && !dead[c] -> assert(nfull(down_to[c])); down_to[c]!m
	:: else
	fi
}

/* Killed, at any instruction: connections and memory are gone. */
inline crash()
{
	d_step {
		deaths--;
		up = false;
		j = 0;
		do
		:: j < N ->
			if
			:: connection[j] == OPEN && dead[j] -> connection[j] = CLOSED
			:: connection[j] == OPEN && !dead[j] -> connection[j] = BROKEN
			:: else
			fi;
			do
			:: len(up_to[j]) > 0 -> up_to[j]?_
			:: else -> break
			od;
			holds[j] = false;
			absent[j] = false;
			owed[j] = false;
			j++
		:: else -> break
		od
	}
}

/* Between two steps of a turn. What follows is to be done by who is up. */
inline crash_or_not()
{
	if
	:: deaths > 0 -> crash()
	:: true
	fi
}

/* Whoever holds may be below c: its grant is what c asked under. */
inline check_alone(c)
{
	j = 0;
	do
	:: j < N ->
		assert(j == c || !owed[j] || terminal[j] != terminal[c] ||
		    (c == 2 && under[2] && j == 0));
		j++
	:: else -> break
	od
}

/* A grant is in the ledger before anybody is told of it. */
inline grant(c)
{
	d_step {
		check_alone(c);
		assert(SPOT(ASKED_IN, terminal[c], 0) == c); /* first come, first served */
		served[c] = true;
		if
		:: BUG != 1 -> record[c] = HOLDS
		:: else -> tell(c, GRANTED)
		fi
	}
	crash_or_not();
	if
	:: up -> d_step {
		ousted[c] = false;
		if
		:: BUG != 1 -> tell(c, GRANTED)
		:: else -> record[c] = HOLDS
		fi
	}
	:: else
	fi
}

/* One that has not come back since the restart holds in the table alone. */
inline serve(t)
{
	if
	:: up && LENGTH(LINE, t) > 0 && !holds[FIRST(t)] && BUG != 9 ->
		first = FIRST(t);
		holds[first] = true;
		if
		:: !absent[first] -> grant(first)
		:: absent[first] && BUG == 17 -> record[first] = HOLDS
		:: else
		fi
	:: else
	fi
}

inline forget(c)
{
	line_remove(LINE, c);
	line_remove(ASKED_IN, c);
	record[c] = NONE;
	holds[c] = false;
	absent[c] = false;
	owed[c] = false;
	served[c] = false
}

/* Who is granted the terminal next is recorded behind the end of the last one. */
inline end_request(c)
{
	if
	:: BUG == 2 && record[c] == HOLDS && LENGTH(LINE, terminal[c]) > 1 &&
	    FIRST(terminal[c]) == c && !holds[SPOT(LINE, terminal[c], 1)] ->
		record[SPOT(LINE, terminal[c], 1)] = HOLDS;
		crash_or_not()
	:: BUG == 6 && holds[c] && FIRST(terminal[c]) != c && LENGTH(LINE, terminal[c]) > 2 &&
	    !holds[SPOT(LINE, terminal[c], 2)] -> d_step {
		/* as if the others below were first now */
		holds[SPOT(LINE, terminal[c], 2)] = true;
		tell(SPOT(LINE, terminal[c], 2), GRANTED)
	}
	:: else
	fi;
	if
	:: up -> d_step { forget(c) }
		crash_or_not();
		serve(terminal[c])
	:: else
	fi
}

/* before: NOBODY, or whose grant it is asked under. */
inline enter(c, before)
{
	d_step {
		line_insert(LINE, c, before);
		line_insert(ASKED_IN, c, before);
		if
		:: FIRST(terminal[c]) != c -> record[c] = WAITS; tell(c, QUEUED)
		:: else
		fi
	}
	if
	:: BUG == 9 && FIRST(terminal[c]) == c -> holds[c] = true; grant(c)
	:: else -> serve(terminal[c])
	fi
}

/* The request is the same as before the restart. */
inline come_back(c)
{
	d_step {
		absent[c] = false;
		owed[c] = false;
		if
		:: BUG == 12 && !holds[c] ->
			line_remove(LINE, c);
			line_insert(LINE, c, NOBODY)
		:: else
		fi;
		if
		:: !holds[c] -> tell(c, QUEUED)
		:: else
		fi
	}
	if
	:: holds[c] && record[c] == HOLDS -> ousted[c] = false; tell(c, GRANTED)
	:: holds[c] && record[c] != HOLDS -> grant(c)
	:: else
	fi
}

#define IN_LINE(c) (record[c] != NONE)

inline on_ask(c, m)
{
	if
	:: IN_LINE(c) && absent[c] && BUG != 15 -> come_back(c) /* the same task's */
	:: IN_LINE(c) && (!absent[c] || BUG == 15) -> tell(c, DEADLOCK)
	:: !IN_LINE(c) && m == ASK_UNDER && holds[0] && BUG != 7 -> enter(c, 0)
	:: !IN_LINE(c) && !(m == ASK_UNDER && holds[0] && BUG != 7) -> enter(c, NOBODY)
	fi
}

inline on_message(c, m)
{
	if
	:: m == ASK || m == ASK_UNDER -> on_ask(c, m)
	:: m == ASK_TWICE ->
		if
		:: IN_LINE(c) && BUG != 10 -> tell(c, DEADLOCK)
		:: IN_LINE(c) && BUG == 10 -> assert(LENGTH(LINE, terminal[c]) < N); enter(c, NOBODY)
		:: else
		fi
	:: m == RECLAIM ->
		if
		:: IN_LINE(c) && absent[c] -> come_back(c)
		:: else -> tell(c, NOT_FOUND)
		fi
	:: m == RELEASE || m == CANCEL ->
		if
		:: IN_LINE(c) && !absent[c] && !(BUG == 8 && m == CANCEL && holds[c]) ->
			end_request(c)
		:: else
		fi
	fi
}

/* What the event loop does for one client; each turn is atomic but for the
 * daemon's death. A dead one's last words still count. */
proctype Serve(byte c)
{
	mtype:message m;
end:	do
	:: atomic {
		up && connection[c] == OPEN && nempty(up_to[c]) -> up_to[c]?m;
		on_message(c, m);
		m = 0
	}
	:: atomic {
		up && dead[c] && connection[c] == OPEN && empty(up_to[c]) &&
		    !(BUG == 13 && heir[c]) ->
		connection[c] = CLOSED;
		if
		:: IN_LINE(c) && !(BUG == 5 && !holds[c]) -> end_request(c)
		:: else
		fi
	}
	:: atomic { up && dead[c] && absent[c] -> end_request(c) }
	/* The time-out for those that do not come back. */
	:: atomic {
		up && absent[c] && (record[c] != HOLDS || BUG == 3) && BUG != 14 -> end_request(c)
	}
	:: atomic {
		up && forces > 0 && total > 0 && holds[c] ->
		forces--;
		spend();
		ousted[c] = true;
		if
		:: BUG == 16 ->
			if
			:: !absent[c] -> tell(c, RELEASED)
			:: else
			fi;
			crash_or_not();
			if
			:: up -> end_request(c)
			:: else
			fi
		:: BUG != 16 && absent[c] -> end_request(c)
		:: BUG != 16 && !absent[c] ->
			end_request(c);
			if
			:: up -> tell(c, RELEASED)
			:: else
			fi
		fi
	}
	od
}

inline restart()
{
	j = 0;
	do
	:: j < N ->
		assert(record[j] != NONE || !holds[j]);
		if
		:: record[j] == HOLDS && BUG == 4 ->
			forget(j)
		:: record[j] != NONE && !(record[j] == HOLDS && BUG == 4) ->
			absent[j] = true;
			holds[j] = record[j] == HOLDS;
			owed[j] = record[j] == HOLDS
		:: terminal[j] != NOBODY && record[j] == NONE ->
			line_remove(LINE, j);
			line_remove(ASKED_IN, j)
		:: else
		fi;
		j++
	:: else -> break
	od;
	up = true
}

proctype Manager()
{
end:	do
	:: atomic {
		!up ->
		d_step { restart() }
		j = 0;
		serve(0);
		serve(1)
	}
	od
}

/* --- a client ---------------------------------------------------------------- */

inline ask(c)
{
	up_to[c]!(under[c] -> ASK_UNDER : ASK)
}

inline leave(c, m)
{
	if
	:: connection[c] == OPEN -> up_to[c]!m
	:: else
	fi;
	state[c] = ENDED
}

/* At most one at the terminal: others that hold it are below. */
inline take_turn(c)
{
	state[c] = HELD;
	j = 0;
	do
	:: j < N ->
		assert(j == c || state[j] != HELD || dead[j] || ousted[j] || ousted[c] ||
		    terminal[j] != terminal[c] || (c == 2 && under[2] && j == 0) ||
		    (j == 2 && under[2] && c == 0));
		j++
	:: else -> break
	od
}

inline hear(c, m)
{
	if
	:: m == QUEUED || m == GRANTED -> token[c] = true
	:: else
	fi;
	if
	:: m == QUEUED && state[c] == ASKED -> state[c] = WAITING
	:: m == GRANTED && (state[c] == ASKED || state[c] == WAITING || state[c] == HELD) ->
		take_turn(c)
	:: m == RELEASED -> state[c] = DONE; token[c] = false
	:: m == NOT_FOUND && state[c] == WAITING -> token[c] = false; state[c] = NEW
	:: m == NOT_FOUND && state[c] != WAITING ->
		assert(state[c] != HELD || ousted[c]); /* no grant is lost */
		state[c] = DONE;
		token[c] = false
	:: m == DEADLOCK -> assert(DOUBLES > 0 && state[c] != ASKED)
	:: else
	fi
}

proctype Client(byte c)
{
	mtype:message m;
end:	do
	:: atomic {
		!dead[c] && !stopped[c] && state[c] == NEW && up && connection[c] != BROKEN &&
		    (!IN_ORDER || c == 0 || terminal[c - 1] != NOBODY || dead[c - 1]) &&
		    (NEST != 2 || c != 2 || terminal[c] != NOBODY || state[0] == HELD) ->
		connection[c] = OPEN;
		if
		:: terminal[c] == NOBODY && NEST && c == 2 && state[0] == HELD ->
			terminal[c] = 0;
			under[c] = true;
			if
			:: awaited = true
			:: true
			fi
		:: terminal[c] == NOBODY && !(NEST == 2 && c == 2) -> terminal[c] = 0
		:: terminal[c] == NOBODY && TERMINALS > 1 && c > 0 && !(NEST == 2 && c == 2) -> terminal[c] = 1
		:: terminal[c] != NOBODY
		fi;
		ask(c);
		state[c] = ASKED
	}
	:: atomic {
		!dead[c] && !stopped[c] && nempty(down_to[c]) -> down_to[c]?m;
		hear(c, m);
		m = 0
	}
	/* A debugger may wait for its program, which may ask under its grant. */
	:: atomic {
		!dead[c] && !stopped[c] && state[c] == HELD &&
		    !(c == 0 && awaited && !dead[2] && state[2] != ENDED && state[2] != DONE) ->
		leave(c, RELEASE)
	}
	:: atomic {
		!dead[c] && !stopped[c] && cancels > 0 && total > 0 &&
		    (state[c] == ASKED || state[c] == WAITING) ->
		cancels--;
		spend();
		leave(c, CANCEL)
	}
	:: atomic {
		!dead[c] && !stopped[c] && doubles > 0 && total > 0 && connection[c] == OPEN &&
		    (state[c] == WAITING || state[c] == HELD) && nfull(up_to[c]) ->
		doubles--;
		spend();
		up_to[c]!ASK_TWICE
	}
	/* What is left unread may be read first, or not. */
	:: atomic {
		!dead[c] && !stopped[c] && connection[c] == BROKEN ->
		connection[c] = CLOSED;
		do
		:: len(down_to[c]) > 0 -> down_to[c]?_
		:: else -> break
		od;
		if
		:: BUG == 11 && state[c] == ENDED -> state[c] = DONE
		:: else
		fi
	}
	:: atomic {
		!dead[c] && !stopped[c] && connection[c] == CLOSED && up &&
		    state[c] != NEW && state[c] != DONE ->
		connection[c] = OPEN;
		if
		:: token[c] -> up_to[c]!RECLAIM
		:: else -> ask(c)
		fi;
		if
		:: state[c] == ENDED -> up_to[c]!RELEASE
		:: else
		fi
	}
	od
}

/* --- fate ---------------------------------------------------------------------- */

inline kill(c)
{
	kills--;
	spend();
	dead[c] = true;
	state[c] = DONE;
	stopped[c] = false;
	token[c] = false;
	do
	:: len(down_to[c]) > 0 -> down_to[c]?_
	:: else -> break
	od;
	if
	:: connection[c] == BROKEN -> connection[c] = CLOSED
	:: else
	fi;
	if /* a forked child may keep its end of the socket */
	:: BUG == 13 -> heir[c] = true
	:: true
	fi
}

/* Anything may cease to happen at any time. */
proctype Fate()
{
	byte c;
	do
	:: atomic { deaths > 0 && up -> crash() }
	:: atomic { kills > 0 && total > 0 -> c = 0;
		do
		:: c < CLIENTS - 1 -> c++
		:: break
		od;
		if
		:: !dead[c] && terminal[c] != NOBODY -> kill(c)
		:: else
		fi;
		c = 0
	}
	:: atomic { stops > 0 && total > 0 -> c = 0;
		do
		:: c < CLIENTS - 1 -> c++
		:: break
		od;
		if
		:: !dead[c] && !stopped[c] && terminal[c] != NOBODY -> stops--; spend(); stopped[c] = true
		:: else
		fi;
		c = 0
	}
	:: atomic { STOPS > 0 -> c = 0;
		do
		:: c < CLIENTS - 1 -> c++
		:: break
		od;
		stopped[c] = false;
		c = 0
	}
	:: break
	od;
	atomic { deaths = 0; kills = 0; stops = 0; cancels = 0; forces = 0; doubles = 0;
		total = 0 }
}

/* Who is stopped may keep what it was told, or about to be told, that it has, and
 * what waits for it waits. Everybody else has had a turn, or was freed of asking,
 * and nothing is left of them. */
#define STUCK(d, t)                                                                                \
	(!dead[d] && stopped[d] && terminal[d] == (t) && served[d])
#define BLOCKED(t)                                                                                 \
	(STUCK(0, t) || STUCK(1, t) || STUCK(N - 1, t) ||                                          \
	    ((t) == 0 && awaited && stopped[N - 1] && state[0] == HELD))

active proctype Final()
{
	byte c;

	c = 0;
	atomic {
		c_code {
			CLIENTS = bound("CLIENTS");
			TERMINALS = bound("TERMINALS");
			NEST = bound("NEST");
			IN_ORDER = bound("IN_ORDER");
			BUG = bound("BUG");
			DOUBLES = now.doubles = bound("DOUBLES");
			STOPS = now.stops = bound("STOPS");
			now.deaths = bound("DEATHS");
			now.cancels = bound("CANCELS");
			now.kills = bound("KILLS");
			now.forces = bound("FORCES");
			now.total = bound("TOTAL");
		};
		do
		:: c < CLIENTS -> run Client(c); run Serve(c); c++
		:: else -> break
		od;
		run Manager();
		run Fate();
		c = 0
	}
	atomic {
		timeout ->
		assert(up);
		do
		:: c < CLIENTS ->
			assert(dead[c] || stopped[c] || state[c] == ENDED || state[c] == DONE ||
			    (NEST == 2 && terminal[c] == NOBODY) ||
			    BLOCKED(terminal[c]));
			c++
		:: else -> break
		od;
		assert(LENGTH(LINE, 0) == 0 || BLOCKED(0));
		assert(LENGTH(LINE, 1) == 0 || BLOCKED(1))
	}
}
