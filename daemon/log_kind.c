#include "log_kind.h"

/* tests/e2e/test_journal.py reads this table: each that is a warning or an error
 * has an entry in the catalogue, and no other. */
static const struct log_kind_row rows[] = {
    [LOG_KIND_STARTED] = {"started", "started", "b05374359e414241bb2810fcc71f9b67", LOG_LEVEL_INFO},
    [LOG_KIND_ENDING] = {"ending", "ends", "23bf255e8a7c439abee5a16866e067fe", LOG_LEVEL_INFO},
    [LOG_KIND_FAILED] = {"failed", "failed", "e6eb096a63384fb7b4134f76d9122701", LOG_LEVEL_ERROR},
    [LOG_KIND_SUPPRESSED] = {"suppressed", "lines suppressed", "76df69d018e24e4398b93cfa1d106ee6",
	LOG_LEVEL_WARNING},
    [LOG_KIND_QUEUED] = {"queued", "queued", "2a45a4d3546341f4b77112122839408f", LOG_LEVEL_INFO},
    [LOG_KIND_GRANTED] = {"granted", "granted", "6e1967ec27b04983876e394d69b258ae", LOG_LEVEL_INFO},
    [LOG_KIND_RELEASED] = {"released", "released", "612be65ff5014df8be94673439c6e4e6",
	LOG_LEVEL_INFO},
    [LOG_KIND_CANCELLED] = {"cancelled", "cancelled", "d04c76a933e0451ebee90fb3ef168fa4",
	LOG_LEVEL_INFO},
    [LOG_KIND_FORCED] = {"forced", "released by force", "75a0bd93e4a248309e7de2bf6aff36b7",
	LOG_LEVEL_WARNING},
    [LOG_KIND_SERVED_FIRST] = {"served-first", "served first", "19032a8046604054804057b2c3a69178",
	LOG_LEVEL_INFO},
    [LOG_KIND_REFUSED] = {"refused", "refused", "3bd21b2d1bbb442ca5b1663b0663f998", LOG_LEVEL_INFO},
    [LOG_KIND_DEADLOCK] = {"deadlock", "refused: it would wait for ever",
	"f70db13209e0428c938ea13a1d32573f", LOG_LEVEL_WARNING},
    [LOG_KIND_WAITER_DIED] = {"waiter-died", "died while it waited",
	"237fa75becc94ec3aeef0f9edb874ab0", LOG_LEVEL_INFO},
    [LOG_KIND_HOLDER_DIED] = {"holder-died", "died while it held the terminal",
	"3936d5f292ad4075bd282b54e8387393", LOG_LEVEL_WARNING},
    [LOG_KIND_DENIED] = {"denied", "may not be steered", "e2a9b84f428d4f348cd3f9de9165fe70",
	LOG_LEVEL_WARNING},
    [LOG_KIND_QUOTA] = {"quota", "over the quota", "87655e62606a4c978344917e63e15392",
	LOG_LEVEL_WARNING},
    [LOG_KIND_NO_DESCRIPTORS] = {"no-descriptors", "out of descriptors",
	"6a2c2601982e461b9806f8e754588fca", LOG_LEVEL_WARNING},
    [LOG_KIND_UNIDENTIFIED] = {"unidentified", "a connection without an identity is refused",
	"aa2b2e27e0b342d796a1b51376b148e1", LOG_LEVEL_WARNING},
    [LOG_KIND_RESTORED] = {"restored", "restored", "0d3f6ccd5b224787ab61021085ed3f68",
	LOG_LEVEL_INFO},
    [LOG_KIND_RECLAIMED] = {"reclaimed", "reclaimed", "d9c5a985b547443abb49741d6258a5c5",
	LOG_LEVEL_INFO},
    [LOG_KIND_WAITER_ABSENT] = {"waiter-absent",
	"has not come back after a restart, and waits no more", "3c644cc6cd6243ddb0fde4dc78b8a81d",
	LOG_LEVEL_INFO},
    [LOG_KIND_HOLDER_ABSENT] = {"holder-absent", "has not come back after a restart and lives",
	"3e3805e0c0b445e8a7194dc9508d87a8", LOG_LEVEL_WARNING},
    [LOG_KIND_RECLAIM_DENIED] = {"reclaim-denied", "may not be reclaimed",
	"2215c4afab894e5d9f23f92340ab9cd1", LOG_LEVEL_WARNING},
    [LOG_KIND_LEDGER_UNREADABLE] = {"ledger-unreadable",
	"the record of the requests cannot be read", "90f91c2b4efe46aea2d2990309efb542",
	LOG_LEVEL_WARNING},
    [LOG_KIND_STALLED] = {"stalled", "stood still", "2c35641618084705bafd844269093d90",
	LOG_LEVEL_WARNING},
};

const struct log_kind_row *log_kind_row(enum log_kind kind)
{
	return &rows[kind];
}
