/* The protocol of proto/ttylock.proto between clients and daemon: turns at the
 * terminals, nested grants, cancelling, release by force, who is served first,
 * stopped, killed and unreachable clients, and daemons that die at any point and
 * are restarted on the ledger that the last one left. docs/model.md says which
 * function of the C code each transition stands for; check_model.py runs it, for
 * bounds given in the environment:
 *
 *   CLIENTS, TERMINALS
 *   TWINS        clients 1 and 2 are two requests of one process
 *   DEATHS       of the daemon
 *   NEST         client 2 is below client 0: 1: it may ask under its grant, or not;
 *                2: it asks under it or not at all
 *   CANCELS, KILLS, STOPS, FORCES, DOUBLES, MOVES, CUTS, QUIETS     how often that
 *                happens, at most,
 *   TOTAL        and all of these together
 *   STRICT       no exception is made for what docs/model.md calls the known gap
 *   IN_ORDER     clients ask for the first time in the order of their numbers:
 *                nothing is lost by it where they are all alike
 *   BUG          a seeded bug, by number; 0: none
 *
 * Everything is used up at some time, so every run ends. What must come in the end
 * is therefore asserted where nobody can move of himself any more, by Final; what
 * must never be, where it would begin. (rounds.pml has runs without an end.)
 *
 * A client is a request, and both go by one number. What the daemon has in memory
 * is gone when it dies (holds, absent); the ledger stays (line, record). What a
 * client knows is its own: state, token.
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
/* Whose connection a client uses, and the other that does; a message of the second
 * one is told by an offset. */
#define P(c) (TWINS && (c) == 2 -> 1 : (c))
#define TWIN(c) (!TWINS || (c) == 0 -> NOBODY : 3 - (c))
#define SECOND 64

mtype:message = {
	ASK, ASK_UNDER, ASK_TWICE, RECLAIM, RELEASE, CANCEL,	/* to the daemon */
	QUEUED, GRANTED, RELEASED, NOT_FOUND, DEADLOCK		/* to the client */
};
mtype:record = { NONE, WAITS, HOLDS };
mtype:state = { NEW, ASKED, WAITING, HELD, ENDED, DONE };
/* DEAF: takes nothing more; GONE: that was seen, and its end is due. */
mtype:connection = { CLOSED, OPEN, DEAF, GONE, BROKEN };

byte deaths, cancels, kills, stops, forces, doubles, moves, cuts, quiets, total;

/* The other bounds, the same in all states. */
hidden byte CLIENTS, TERMINALS, TWINS, NEST, IN_ORDER, STRICT, BUG, DOUBLES;

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
chan up_to[N] = [5] of { byte };
chan down_to[N] = [4] of { mtype:message };
/* The clients. */
byte terminal[N] = NOBODY;
mtype:state state[N] = NEW;
bool token[N], under[N], proven[N], awaited;
/* Their processes; away: it does not call the library any more. */
bool dead[N], heir[N], stopped[N], away[N];
/* Nobody's: for the properties alone. */
bool ousted[N];	       /* its grant was ended by others, whatever it believes */
bool owed[N];	       /* recorded as a holder, and not heard of since the restart */
bool served[N];	       /* its grant was told, or was just about to be */
byte leaving = NOBODY; /* a process whose requests are being ended */
bool judged;

hidden byte i, j, first, overtaken;
/* What is asserted, by name. */
hidden byte found, alone, nobody_is_owed_it, first_come_first_served, everybody_is_served;
hidden byte nothing_is_left, no_grant_is_lost, double_lock_is_asked_for, is_leaving;
hidden byte somebody_moves = false;

/* What is left of each kind counts only while something is left of all. */
inline spend()
{
	total--;
	if
	:: total == 0 ->
		cancels = 0;
		kills = 0;
		stops = 0;
		forces = 0;
		doubles = 0;
		moves = 0;
		cuts = 0;
		quiets = 0
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

/* What was sent to a client and not read. */
inline forget_heard(p)
{
	do
	:: len(down_to[p]) > 0 -> down_to[p]?_
	:: TWINS && p == 1 && len(down_to[2]) > 0 -> down_to[2]?_
	:: else -> break
	od
}

#include "turns_daemon.pml"
#include "turns_client.pml"

/* --- fate ---------------------------------------------------------------------- */

/* Who has nothing to lose or to miss does not count. */
#define LIVES(p) (!dead[p] && terminal[p] != NOBODY && \
	(state[p] != DONE || (TWINS && (p) == 1 && terminal[2] != NOBODY && state[2] != DONE)))

inline forget_life(c)
{
	state[c] = DONE;
	token[c] = false;
	proven[c] = false
}

inline kill(p)
{
	kills--;
	spend();
	dead[p] = true;
	stopped[p] = false;
	away[p] = false;
	forget_life(p);
	if
	:: TWINS && p == 1 -> forget_life(2)
	:: else
	fi;
	forget_heard(p);
	if
	:: connection[p] == BROKEN -> connection[p] = CLOSED
	:: connection[p] == DEAF -> connection[p] = OPEN
	:: else
	fi;
	if /* a forked child may keep its end of the socket */
	:: BUG == 13 -> heir[p] = true
	:: true
	fi
}

inline any(p)
{
	p = 0;
	do
	:: p < CLIENTS - 1 - TWINS -> p++
	:: break
	od
}

proctype Fate()
{
	byte p;
end:	do
	:: atomic { deaths > 0 && up -> crash() }
	:: atomic { kills > 0 && total > 0 && !judged -> any(p);
		if
		:: LIVES(p) -> kill(p)
		:: else
		fi;
		p = 0
	}
	:: atomic { stops > 0 && total > 0 -> any(p);
		if
		:: LIVES(p) && !stopped[p] && !away[p] -> stops--; spend(); stopped[p] = true
		:: else
		fi;
		p = 0
	}
	:: atomic { stopped[0] || stopped[1] || stopped[2] -> any(p);
		stopped[p] = false;
		p = 0
	}
	:: atomic { cuts > 0 && total > 0 -> any(p);
		if
		:: LIVES(p) && connection[p] == OPEN -> cuts--; spend(); connection[p] = DEAF
		:: else
		fi;
		p = 0
	}
	od
}

/* Who is stopped may keep what it was told, or about to be told, that it has, and
 * what waits for it waits. So does what one keeps who has given it back to a daemon
 * that died before it read that, and is never heard of again (the known gap).
 * Everybody else has had a turn, or was freed of asking, and nothing is left of them. */
#define STUCK(d, t)                                                                                \
	(terminal[d] == (t) && ((stopped[P(d)] && served[d]) ||                                    \
	    (!STRICT && away[P(d)] && state[d] == ENDED && record[d] == HOLDS)))
#define BLOCKED(t)                                                                                 \
	(STUCK(0, t) || STUCK(1, t) || STUCK(2, t) ||                                              \
	    ((t) == 0 && awaited && stopped[2] && state[0] == HELD))
#define IS_QUIET(c) (CLIENT_IS_QUIET(c) && DAEMON_IS_QUIET(c))

active proctype Final()
{
	byte c;

	c = 0;
	atomic {
		c_code {
			CLIENTS = bound("CLIENTS");
			TERMINALS = bound("TERMINALS");
			TWINS = bound("TWINS");
			NEST = bound("NEST");
			IN_ORDER = bound("IN_ORDER");
			STRICT = bound("STRICT");
			BUG = bound("BUG");
			DOUBLES = now.doubles = bound("DOUBLES");
			now.stops = bound("STOPS");
			now.deaths = bound("DEATHS");
			now.cancels = bound("CANCELS");
			now.kills = bound("KILLS");
			now.forces = bound("FORCES");
			now.moves = bound("MOVES");
			now.cuts = bound("CUTS");
			now.quiets = bound("QUIETS");
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
end:	do
	/* Nobody is about to move: only what Fate might do is left. */
	:: atomic {
		!judged && up && IS_QUIET(0) && IS_QUIET(1) && IS_QUIET(2) ->
		do
		:: c < CLIENTS ->
			everybody_is_served = dead[P(c)] || stopped[P(c)] || away[P(c)] ||
			    state[c] == ENDED || state[c] == DONE ||
			    (NEST == 2 && terminal[c] == NOBODY) || BLOCKED(terminal[c]);
			assert(everybody_is_served);
			c++
		:: else -> break
		od;
		c = 0;
		nothing_is_left = (LENGTH(LINE, 0) == 0 || BLOCKED(0)) &&
		    (LENGTH(LINE, 1) == 0 || BLOCKED(1));
		assert(nothing_is_left);
		judged = true;
		deaths = 0;
		total = 1;
		spend();
		stopped[0] = false; stopped[1] = false; stopped[2] = false
	}
	/* Else there is somebody who can. */
	:: timeout && !judged -> assert(somebody_moves)
	od
}
