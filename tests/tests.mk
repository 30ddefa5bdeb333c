# The tests' own rules. A unit test says in its head which objects it links
# (`/* links: daemon/locktable.o -levent_core */`), so that each noun is tested
# with nothing but itself.

links = $(shell sed -n 's|.*/\* links: *\(.*[^ ]\) *\*/.*|\1|p' $(1))
objects = $(patsubst %,$(BUILD)/%,$(filter %.o,$(call links,$(1))))
libraries = $(filter-out %.o,$(call links,$(1)))

define unit_rule
$(BUILD)/tests/$(notdir $(1:.c=)): $(1) $(call objects,$(1))
	@mkdir -p $$(@D)
	$$(CC) $$(CPPFLAGS) -I. -DBUILD_DIR='"$$(BUILD)"' $$(cflags) $$(ldflags) -MMD -MP -o $$@ $$< \
		$(call objects,$(1)) $(call libraries,$(1)) -lcmocka
endef
$(foreach t,$(wildcard tests/unit/test_*.c tests/model/test_*.c),$(eval $(call unit_rule,$(t))))

$(BUILD)/tests/programs/%: tests/e2e/programs/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O0 -g -Wall -Wextra -Werror -D_GNU_SOURCE -MMD -MP -o $@ $< -pthread

.PHONY: tests
tests: $(UNITS) $(HELPERS)
