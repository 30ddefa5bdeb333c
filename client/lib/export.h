/* export: marks what libttylock.so shows; the rest of it is hidden. */
#ifndef TTYLOCK_EXPORT_H
#define TTYLOCK_EXPORT_H

#define EXPORT __attribute__((visibility("default")))

#endif
