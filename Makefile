# Conclave. `make help` lists what there is.

.DEFAULT_GOAL := help
.PHONY: help run install uninstall test bench bench-window lab prove fuzz fmt

PREFIX ?= /usr/local
DESTDIR ?=
BINARY ?= $(or $(CARGO_TARGET_DIR),target)/release/conclave
APP_ID := io.github.conclave_meet.Conclave
ICON_SIZES := 16 22 24 32 48 64 128 256 512
share := $(DESTDIR)$(PREFIX)/share

help: ## Say what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | while IFS= read -r line; do \
		printf '  make %-13s %s\n' "$${line%%:*}" "$${line#*## }"; \
	done

run: ## Build the release and open the app; without a display, hold a real two-person call here and show it
	@sh .ci/app.sh

install: ## Install the app that was built, with its menu entry, icons, man page and completions, below PREFIX (/usr/local)
	@test -x "$(BINARY)" || { echo "Nothing to install: build first, with cargo build --release --locked --bin conclave" >&2; exit 1; }
	install -Dm755 "$(BINARY)" "$(DESTDIR)$(PREFIX)/bin/conclave"
	install -Dm644 assets/desktop/$(APP_ID).desktop "$(share)/applications/$(APP_ID).desktop"
	install -Dm644 assets/desktop/$(APP_ID).metainfo.xml "$(share)/metainfo/$(APP_ID).metainfo.xml"
	install -Dm644 assets/icon.svg "$(share)/icons/hicolor/scalable/apps/$(APP_ID).svg"
	for size in $(ICON_SIZES); do \
		install -Dm644 "assets/desktop/icons/$$size.png" \
			"$(share)/icons/hicolor/$${size}x$$size/apps/$(APP_ID).png" || exit 1; \
	done
	install -Dm644 assets/desktop/conclave.1 "$(share)/man/man1/conclave.1"
	install -Dm644 assets/desktop/completions/conclave.bash "$(share)/bash-completion/completions/conclave"
	install -Dm644 assets/desktop/completions/_conclave "$(share)/zsh/site-functions/_conclave"
	install -Dm644 assets/desktop/completions/conclave.fish "$(share)/fish/vendor_completions.d/conclave.fish"
	@# A package does this when it is unpacked; without these tools the desktop notices by itself, later.
	@test -n "$(DESTDIR)" || ! command -v update-desktop-database >/dev/null 2>&1 || \
		update-desktop-database -q "$(share)/applications" || true
	@test -n "$(DESTDIR)" || ! command -v gtk-update-icon-cache >/dev/null 2>&1 || \
		gtk-update-icon-cache -qtf "$(share)/icons/hicolor" || true

uninstall: ## Remove what install has put below PREFIX
	rm -f "$(DESTDIR)$(PREFIX)/bin/conclave" "$(share)/applications/$(APP_ID).desktop" \
		"$(share)/metainfo/$(APP_ID).metainfo.xml" "$(share)/icons/hicolor/scalable/apps/$(APP_ID).svg" \
		"$(share)/man/man1/conclave.1" "$(share)/bash-completion/completions/conclave" \
		"$(share)/zsh/site-functions/_conclave" "$(share)/fish/vendor_completions.d/conclave.fish"
	for size in $(ICON_SIZES); do rm -f "$(share)/icons/hicolor/$${size}x$$size/apps/$(APP_ID).png"; done

test: ## Run all checks and tests, exactly as continuous integration does
	@bash .ci/run

bench: ## Measure against raw ring, snow, openh264 and Opus; write the table to docs/PERFORMANCE.md
	@sh .ci/packages.sh build
	@cargo bench --locked --bench conclave -- --write docs/PERFORMANCE.md

lab: ## Hold calls beside Chromium over bad networks; write the table to docs/PERFORMANCE.md (CASES="loss5 drop": only those)
	@CASES="$(CASES)" LAB_SECONDS="$(LAB_SECONDS)" bash .ci/lab.sh
bench-window: ## Measure what drawing ten moving pictures costs, with and without the graphics card
	@sh .ci/packages.sh build run
	@sh -c 'if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then exec "$$@"; else exec xvfb-run -a -s "-screen 0 1280x800x24" "$$@"; fi' \
		sh cargo bench --locked --bench window

prove: ## Search the symbolic models of the protocol for attacks, and find those that were planted
	@bash .ci/prove.sh

fuzz: ## Fuzz every parser, FUZZ_SECONDS each (60)
	@bash .ci/fuzz.sh

fmt: ## Format the code
	@cargo fmt --all
