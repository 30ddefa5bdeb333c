/* typist: the person at the master's end of the stage's terminal. */
#ifndef CHAOS_TYPIST_H
#define CHAOS_TYPIST_H

/* Reads what is shown, and types the answers: each line that begins with '?', without it. */
void typist_type(int master);

#endif
