/* The daemon of turns.pml. */

inline tell(c, m)
{
	if
	:: connection[P(c)] == OPEN && !dead[P(c)] ->
		assert(nfull(down_to[c]));
		down_to[c]!m
	:: connection[P(c)] == DEAF -> connection[P(c)] = GONE
	:: else
	fi
}

/* Killed, at any instruction: connections and memory are gone. */
inline crash()
{
	d_step {
		deaths--;
		up = false;
		leaving = NOBODY;
		j = 0;
		do
		:: j < N ->
			if
			:: connection[j] != CLOSED ->
				connection[j] = (dead[j] -> CLOSED : BROKEN)
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
	is_leaving = leaving == P(c);
	assert(!is_leaving); /* one on its way out is granted nothing */
	j = 0;
	do
	:: j < N ->
		nobody_is_owed_it = j == c || !owed[j] || terminal[j] != terminal[c] ||
		    (c == 2 && under[2] && j == 0);
		assert(nobody_is_owed_it);
		j++
	:: else -> break
	od
}

/* A grant is in the ledger before anybody is told of it. */
inline grant(c)
{
	d_step {
		check_alone(c);
		first_come_first_served = SPOT(ASKED_IN, terminal[c], 0) == c;
		assert(first_come_first_served);
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

/* All of a process's, those that wait before those that hold. */
#define OWNS(c, a) (IN_LINE(c) && absent[c] == (a))
#define OWNED(p, a)                                                                                \
	(!(TWINS && (p) == 1 && OWNS(2, a)) -> (OWNS(p, a) -> (p) : NOBODY) :                      \
	    (OWNS(p, a) && (holds[p] == (BUG == 20)) -> (p) : 2))

inline drop(p, a)
{
	leaving = (a -> NOBODY : p); /* absent, it is another's to the daemon */
	do
	:: up && OWNED(p, a) != NOBODY && !(BUG == 5 && !holds[OWNED(p, a)]) ->
		r = OWNED(p, a);
		end_request(r)
	:: else -> break
	od;
	leaving = NOBODY
}

/* Before all in its own queue: those down to the next grant. With three clients
 * there is one to be overtaken, the second in line. */
#define SECOND_IN_LINE(c) SPOT(LINE, terminal[c], 1)
#define CAN_BE_MOVED(c)                                                                            \
	(record[c] == WAITS && !holds[c] && LENGTH(LINE, terminal[c]) == 3 &&                      \
	    SPOT(LINE, terminal[c], 2) == c && (!holds[SECOND_IN_LINE(c)] || BUG == 19))

inline move(c)
{
	overtaken = SECOND_IN_LINE(c);
	if
	:: BUG != 19 -> d_step {
		line_remove(ASKED_IN, c);
		line_insert(ASKED_IN, c, overtaken)
	}
	:: else
	fi;
	if
	:: BUG == 18 && !absent[c] -> tell(c, QUEUED); crash_or_not()
	:: else
	fi;
	if
	:: up -> d_step {
		line_remove(LINE, c);
		line_insert(LINE, c, overtaken);
		if
		:: BUG != 18 && (!absent[c] || BUG == 23) -> tell(c, QUEUED)
		:: else
		fi
	}
	:: else
	fi
}

inline force(c)
{
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

/* A connection that cannot be written to: its requests end, and its client hears of
 * that by the end of the connection alone. */
inline reap(p)
{
	d_step {
		connection[p] = (dead[p] -> CLOSED : BROKEN);
		ousted[p] = ousted[p] || IN_LINE(p);
		do
		:: len(up_to[p]) > 0 -> up_to[p]?_
		:: else -> break
		od;
		if
		:: TWINS && p == 1 -> ousted[2] = ousted[2] || IN_LINE(2)
		:: else
		fi
	}
	drop(p, false)
}

/* Its first words, or last ones: a dead one's still count. */
#define CAN_READ(p)                                                                                \
	(up && (connection[p] == OPEN || connection[p] == DEAF) && len(up_to[p]) > 0)
#define CAN_BURY(p)                                                                                \
	(up && dead[p] && connection[p] == OPEN && len(up_to[p]) == 0 && !(BUG == 13 && heir[p]))
#define CAN_BURY_ABSENT(p)                                                                         \
	(up && dead[p] && (absent[p] || (TWINS && (p) == 1 && absent[2])))
#define CAN_REAP(p)                                                                                \
	(up && connection[p] == GONE && (BUG != 22 || CAN_READ(0) || CAN_READ(1) || CAN_READ(2)))
/* The time-out for those that do not come back. */
#define CAN_EXPIRE(c) (up && absent[c] && (record[c] != HOLDS || BUG == 3) && BUG != 14)
#define DAEMON_IS_QUIET(c)                                                                         \
	(!CAN_READ(c) && !CAN_BURY(c) && !CAN_BURY_ABSENT(c) && !CAN_REAP(c) && !CAN_EXPIRE(c))

/* What the event loop does for one client; each turn is atomic but for the
 * daemon's death. */
proctype Serve(byte c)
{
	byte r, m;
end:	do
	:: atomic {
		CAN_READ(c) -> up_to[c]?m;
		r = (m >= SECOND -> 2 : c);
		m = m % SECOND;
		on_message(r, m);
		m = 0;
		r = 0
	}
	:: atomic { CAN_BURY(c) -> connection[c] = CLOSED; drop(c, false); r = 0 }
	:: atomic { CAN_BURY_ABSENT(c) -> drop(c, true); r = 0 }
	:: atomic { CAN_REAP(c) -> reap(c); r = 0 }
	:: atomic { CAN_EXPIRE(c) -> end_request(c) }
	/* A person: `ttylock release --force`, `ttylock cancel`, ServeFirst. */
	:: atomic { up && forces > 0 && total > 0 && IN_LINE(c) -> forces--; spend(); force(c) }
	:: atomic { up && moves > 0 && total > 0 && CAN_BE_MOVED(c) -> moves--; spend(); move(c) }
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
