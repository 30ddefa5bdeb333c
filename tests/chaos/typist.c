#include "typist.h"

#include <stdio.h>
#include <unistd.h>

void typist_type(int master)
{
	static char line[64];
	static size_t used;
	char byte;

	while (read(master, &byte, 1) == 1) {
		if (byte == '?')
			used = 0;
		if (byte != '\n' && byte != '\r') {
			used = used + 1 < sizeof(line) ? used + 1 : 0;
			line[used ? used - 1 : 0] = byte;
			continue;
		}
		line[used] = '\0';
		if (used > 1 && line[0] == '?') {
			line[used] = '\n';
			if (write(master, line + 1, used) < 0)
				perror("the typist");
		}
		used = 0;
	}
}
