/* journal: sends entries to systemd's journal, field by field.
 *
 * Never blocks and needs no descriptor but the one that journal_open took:
 * sd_journal_sendv(3) opens its own late and waits for a journal that does not
 * read, and whoever waits for a terminal would wait with us. Knows nothing of
 * what is logged.
 */
#ifndef TTYLOCK_JOURNAL_H
#define TTYLOCK_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#define JOURNAL_ENTRY_MAX 4096

/* One entry under way. Start from zero. */
struct journal_entry {
	char bytes[JOURNAL_ENTRY_MAX];
	size_t used;
};

/* Whether standard error goes to the journal and the journal can be reached. */
bool journal_open(void);

/* A value becomes one line of harmless text (text.h). A field that does not fit
 * is left out, whole. */
void journal_field(struct journal_entry *e, const char *name, const char *value);
void journal_number(struct journal_entry *e, const char *name, unsigned long long value);

/* After journal_open only. false: the journal is not taking it now. */
bool journal_send(const struct journal_entry *e);

#endif
