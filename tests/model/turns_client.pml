/* The clients of turns.pml. */

#define IS_AWAKE(p) (!dead[p] && !stopped[p] && !away[p])
#define IS_CONNECTED(p) (connection[p] != CLOSED && connection[p] != BROKEN)
/* Something of which the next daemon is to be told. */
#define HAS_NEWS(c) (state[c] != NEW && state[c] != DONE)
#define TWIN_HAS_NEWS(c) (TWINS && (c) != 0 && HAS_NEWS(3 - (c)))

#define CAN_ASK(c)                                                                                 \
	(IS_AWAKE(P(c)) && state[c] == NEW && up && (IS_CONNECTED(P(c)) || !TWIN_HAS_NEWS(c)) &&   \
	    (!IN_ORDER || (c) == 0 || terminal[(c) - 1] != NOBODY || dead[P((c) - 1)]) &&          \
	    (NEST != 2 || (c) != 2 || terminal[c] != NOBODY || state[0] == HELD))
#define CAN_HEAR(c) (IS_AWAKE(P(c)) && len(down_to[c]) > 0)
/* A debugger may wait for its program, which may ask under its grant. */
#define CAN_LEAVE(c)                                                                               \
	(IS_AWAKE(P(c)) && state[c] == HELD &&                                                     \
	    !((c) == 0 && awaited && !dead[2] && state[2] != ENDED && state[2] != DONE))
#define CAN_RETURN(p)                                                                              \
	(IS_AWAKE(p) && connection[p] == BROKEN && up && (HAS_NEWS(p) || ((p) == 1 && TWIN_HAS_NEWS(1))))
#define CLIENT_IS_QUIET(c)                                                                         \
	((c) >= CLIENTS || (!CAN_ASK(c) && !CAN_HEAR(c) && !CAN_LEAVE(c) &&                        \
	    !((c) == P(c) && CAN_RETURN(c))))

inline send(c, m)
{
	assert(nfull(up_to[P(c)]));
	up_to[P(c)]!(m + (c == P(c) -> 0 : SECOND))
}

/* Asked behind the other's end: an answer proves that this was read. */
inline ask(c)
{
	if
	:: token[c] -> send(c, RECLAIM)
	:: !token[c] && under[c] -> send(c, ASK_UNDER)
	:: !token[c] && !under[c] -> send(c, ASK)
	fi;
	if
	:: TWIN(c) != NOBODY && state[TWIN(c)] == ENDED -> proven[TWIN(c)] = true
	:: else
	fi
}

inline leave(c, m)
{
	if
	:: IS_CONNECTED(P(c)) ->
		send(c, m);
		if
		:: quiets > 0 && total > 0 && TWIN(c) == NOBODY -> quiets--; spend(); away[P(c)] = true
		:: true
		fi
	:: else
	fi;
	proven[c] = false;
	state[c] = ENDED
}

/* At most one at the terminal: others that hold it are below. */
inline take_turn(c)
{
	state[c] = HELD;
	j = 0;
	do
	:: j < N ->
		alone = j == c || state[j] != HELD || dead[P(j)] || ousted[j] || ousted[c] ||
		    terminal[j] != terminal[c] || (c == 2 && under[2] && j == 0) ||
		    (j == 2 && under[2] && c == 0);
		assert(alone);
		j++
	:: else -> break
	od
}

inline done(c)
{
	state[c] = DONE;
	token[c] = false;
	proven[c] = false
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
	:: m == RELEASED -> done(c)
	:: m == NOT_FOUND && state[c] == WAITING -> token[c] = false; state[c] = NEW
	:: m == NOT_FOUND && state[c] != WAITING ->
		no_grant_is_lost = state[c] != HELD || ousted[c];
		assert(no_grant_is_lost);
		done(c)
	:: m == DEADLOCK ->
		double_lock_is_asked_for = DOUBLES > 0 && state[c] != ASKED;
		assert(double_lock_is_asked_for)
	:: else
	fi;
	if
	:: TWIN(c) != NOBODY && state[TWIN(c)] == ENDED && (proven[TWIN(c)] || BUG == 21) ->
		done(TWIN(c))
	:: else
	fi
}

inline tell_next(c)
{
	if
	:: HAS_NEWS(c) ->
		ask(c);
		if
		:: state[c] == ENDED -> send(c, RELEASE); proven[c] = false
		:: else
		fi
	:: else
	fi
}

/* What is left unread may have been read first, or not. */
inline come_again(p)
{
	connection[p] = OPEN;
	forget_heard(p);
	if
	:: BUG == 11 && state[p] == ENDED -> done(p)
	:: else
	fi;
	tell_next(p);
	if
	:: TWINS && p == 1 -> tell_next(2)
	:: else
	fi
}

proctype Client(byte c)
{
	mtype:message m;
end:	do
	:: atomic {
		CAN_ASK(c) ->
		if
		:: !IS_CONNECTED(P(c)) -> connection[P(c)] = OPEN; forget_heard(P(c))
		:: else
		fi;
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
		CAN_HEAR(c) -> down_to[c]?m;
		hear(c, m);
		m = 0
	}
	:: atomic { CAN_LEAVE(c) -> leave(c, RELEASE) }
	:: atomic { c == P(c) && CAN_RETURN(c) -> come_again(c) }
	:: atomic {
		IS_AWAKE(P(c)) && cancels > 0 && total > 0 &&
		    (state[c] == ASKED || state[c] == WAITING) ->
		cancels--;
		spend();
		leave(c, CANCEL)
	}
	:: atomic {
		IS_AWAKE(P(c)) && doubles > 0 && total > 0 && connection[P(c)] == OPEN &&
		    (state[c] == WAITING || state[c] == HELD) && nfull(up_to[P(c)]) ->
		doubles--;
		spend();
		send(c, ASK_TWICE)
	}
	od
}
