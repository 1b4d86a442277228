# Conclave. `make help` lists what there is.

.DEFAULT_GOAL := help
.PHONY: help run test bench bench-window prove fuzz fmt

help: ## Say what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | while IFS= read -r line; do \
		printf '  make %-13s %s\n' "$${line%%:*}" "$${line#*## }"; \
	done

run: ## Build the release and open the app; without a display, hold a real two-person call here and show it
	@sh .ci/app.sh

test: ## Run all checks and tests, exactly as continuous integration does
	@bash .ci/run

bench: ## Measure against raw ring, snow, openh264 and Opus; write the table to docs/PERFORMANCE.md
	@sh .ci/packages.sh build
	@cargo bench --locked --bench conclave -- --write docs/PERFORMANCE.md

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
