/* Three tasks and three terminals; each wants one or two, the second while it holds
 * the first. A wish that could never come true is refused, and nobody else is: so
 * everybody comes to its end.
 *
 *   BUG (in the environment)
 *       1  nothing is refused
 *       2  only who asks for what somebody holds that waits for it directly is
 *       3  who asks for anything while it holds something is
 */
#define N 3
#define T 3
#define NOBODY 255
#define SPOT(t, n) line[(t) * N + (n)]

byte line[T * N], length[T]; /* the first one holds */
byte waits[N] = NOBODY;	     /* for that terminal */
byte done;
hidden byte i, j, hops, BUG;

/* Whether one who waits for t would, over any number of steps, wait for c. */
inline closes(c, t)
{
	hops = 0;
	j = SPOT(t, 0);
	do
	:: j != c && waits[j] != NOBODY && hops < N && !(BUG == 2 && hops > 0) ->
		j = SPOT(waits[j], 0);
		hops++
	:: else -> break
	od
}

inline lock(c, t, ok)
{
	d_step {
		ok = true;
		if
		:: length[t] > 0 ->
			closes(c, t);
			ok = j != c || BUG == 1;
			if
			:: BUG == 3 && second != NOBODY && t == second -> ok = false
			:: else
			fi;
			/* to refuse is right only where a circle would be */
			assert(ok || j == c)
		:: else
		fi;
		if
		:: ok ->
			SPOT(t, length[t]) = c;
			length[t]++;
			waits[c] = (length[t] > 1 -> t : NOBODY)
		:: else
		fi
	}
}

inline unlock(t)
{
	d_step {
		length[t]--;
		i = 0;
		do
		:: i < length[t] -> SPOT(t, i) = SPOT(t, i + 1); i++
		:: else -> break
		od;
		SPOT(t, i) = 0;
		if
		:: length[t] > 0 -> waits[SPOT(t, 0)] = NOBODY
		:: else
		fi
	}
}

proctype Task(byte c)
{
	byte first, second = NOBODY;
	bool ok;

	do
	:: first < T - 1 -> first++
	:: break
	od;
	lock(c, first, ok);
	waits[c] == NOBODY;
	if
	:: second = 0;
		do
		:: second < T - 1 -> second++
		:: break
		od
	:: skip
	fi;
	if
	:: second == NOBODY || second == first
	:: else ->
		lock(c, second, ok);
		if
		:: ok -> waits[c] == NOBODY; unlock(second)
		:: else
		fi
	fi;
	unlock(first);
	done++
}

active proctype Final()
{
	byte c;
	atomic {
		c_code { BUG = getenv("BUG") ? atoi(getenv("BUG")) : 0; };
		do
		:: c < N -> run Task(c); c++
		:: else -> break
		od
	}
	timeout -> assert(done == N)
}
