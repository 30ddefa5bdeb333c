/* Runs without an end: three clients that want one terminal again and again; two of
 * them may take a wish back. Whoever waits is served in the end, whatever the others
 * do, if only everybody is given time (weak fairness): the claim below. A client
 * numbers its requests anew each time, here by turns 0 and 1, since a message may
 * cross the end of the request that it speaks of.
 *
 *   BUG (in the environment)
 *       1  whoever has the smallest number is served first
 *       2  a client does not look at the number of a grant
 *       3  taking back a grant that crossed is ignored
 *       4  a request that was taken back stays in the line
 */
#define N 3
#define NOBODY 255

mtype:message = { ASK, RELEASE, CANCEL };
mtype:state = { IDLE, WAITING, HELD };

/* No deeper: the numbers are two. */
chan up_to[N] = [3] of { mtype:message, bit };
chan down_to[N] = [2] of { bit }; /* granted */
mtype:state state[N] = IDLE;
chan line = [N] of { byte, bit };
byte holder = NOBODY;
hidden byte BUG;
byte guests; /* who believe that they have the terminal */

inline serve()
{
	if
	:: holder == NOBODY && len(line) > 0 -> line?holder, n; down_to[holder]!n
	:: else
	fi
}

proctype Serve(byte c)
{
	mtype:message m;
	bit n;
end:	do
	:: atomic {
		nempty(up_to[c]) -> up_to[c]?m, n;
		if
		:: m == ASK && BUG == 1 -> line!!c, n
		:: m == ASK && BUG != 1 -> line!c, n
		:: m != ASK && holder == c ->
			if
			:: BUG == 3 && m == CANCEL
			:: else -> holder = NOBODY
			fi
		:: m == CANCEL && holder != c && BUG != 4 -> line??eval(c), n
		:: m == CANCEL && holder != c && BUG == 4
		fi;
		serve();
		m = 0;
		n = 0
	}
	od
}

proctype Client(byte c)
{
	bit number, n;
end:	do
	:: atomic {
		state[c] == IDLE && nfull(up_to[c]) && empty(down_to[c]) ->
		up_to[c]!ASK, number;
		state[c] = WAITING
	}
	:: atomic {
		nempty(down_to[c]) -> down_to[c]?n;
		if
		:: state[c] == WAITING && (n == number || BUG == 2) ->
			assert(guests == 0);
			guests++;
			state[c] = HELD
		:: else
		fi;
		n = 0
	}
	:: atomic {
		state[c] == WAITING && c < N - 1 && nfull(up_to[c]) ->
		up_to[c]!CANCEL, number;
		state[c] = IDLE;
		number = 1 - number
	}
	:: atomic {
		state[c] == HELD && nfull(up_to[c]) ->
		guests--;
		up_to[c]!RELEASE, number;
		state[c] = IDLE;
		number = 1 - number
	}
	od
}

init {
	byte c;
	atomic {
		c_code { BUG = getenv("BUG") ? atoi(getenv("BUG")) : 0; };
		do
		:: c < N -> run Client(c); run Serve(c); c++
		:: else -> break
		od;
		c = 0
	}
}

/* Of the one that never gives up. */
ltl served { [] (state[N - 1] == WAITING -> <> (state[N - 1] != WAITING)) }
