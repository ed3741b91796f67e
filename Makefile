# The repository is the collection crm.continuity, checked out under any name. Tools that want it under
# ansible_collections/ get a tree in build/: a link for most, a copy for ansible-test (tools/in_copy).
# Every target does its own set-up; what is there already is used again.

VENV ?= .venv

# Where tools/setup looks for an interpreter.
ORIGINAL_PATH := $(PATH)
# For the rest not the caller's PATH: version managers put commands there that exist and do not run.
export PATH := $(CURDIR)/$(VENV)/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/link
export MOLECULE_GLOB := molecule/*/molecule.yml
# Where molecule keeps in mind what it has created.
export MOLECULE_EPHEMERAL_DIRECTORY := $(CURDIR)/build/molecule/state
# Git and Ansible refuse a checkout that belongs to someone else or that anyone may write to, as in a container.
export GIT_CONFIG_COUNT := 1
export GIT_CONFIG_KEY_0 := safe.directory
export GIT_CONFIG_VALUE_0 := $(CURDIR)

TESTBED := tests/testbed/testbed
# Arguments of ansible-test sanity; empty means everything.
SANITY ?=
# Arguments of molecule. For one scenario whose servers stay: make molecule MOLECULE="test -s backup --destroy never";
# to go on with them: make molecule MOLECULE="verify -s backup".
MOLECULE ?= test --all $(addprefix --exclude ,$(NIGHTLY))
# Scenarios that take minutes each, for servers of their own or because of all that is written meanwhile.
NIGHTLY := fleet timers under_load

# Each step says what it is for; the commands themselves only show with make V=1.
V ?=
comma := ,
ifeq ($(V),)
Q := @
endif
say = @printf '\n== %s\n' "$(1)"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup link format lint style types shell yaml docs-lint units sanity check check-next browser testbed \
	integration molecule nightly consoles test demo bench faults docs dist clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing and create the virtual environment
	$(Q)PATH="$(ORIGINAL_PATH)" tools/setup $(VENV)

link: setup
	$(Q)mkdir -p build/link/ansible_collections/crm
	$(Q)ln -sfn "$(CURDIR)" build/link/ansible_collections/crm/continuity

format: setup ## Rewrite Python files to the house format
	$(Q)ruff check --fix-only --quiet .
	$(Q)ruff format --quiet .

lint: style types shell yaml docs-lint ## Check style, types, shell, YAML and documentation

style: setup
	$(call say,lint: Python style)
	$(Q)ruff check .
	$(Q)ruff format --check .

types: link
	$(call say,lint: types)
	$(Q)tools/typecheck

shell: setup
	$(call say,lint: shell)
	$(Q)tools/shellcheck

yaml: link
	$(call say,lint: YAML$(comma) roles and playbooks)
	$(Q)yamllint --strict .
	$(Q)ansible-lint --nocolor

docs-lint: link
	$(call say,lint: changelog and documentation)
	$(Q)antsibull-changelog lint
	$(Q)antsibull-docs lint-collection-docs . --plugin-docs --skip-rstcheck

units: setup ## Run the unit tests, without Docker and without PostgreSQL
	$(call say,units)
	$(Q)pytest --quiet --numprocesses auto

sanity: setup ## Run ansible-test sanity
	$(call say,sanity)
	$(Q)tools/in_copy ansible-test sanity --local --color no $(SANITY)

check: link ## Run lint, units and sanity: what every commit must pass
	$(Q)# Side by side: what reads the files uses one processor, and the unit tests wait a third of the time.
	$(Q)$(MAKE) --no-print-directory lint sanity >build/reading.log 2>&1 & reading=$$!; status=0; \
	$(MAKE) --no-print-directory units || status=$$?; \
	wait "$$reading" || status=$$?; \
	cat build/reading.log; \
	exit "$$status"
	$(call say,check passed)

check-next: ## Run units and sanity on Python 3.12 with ansible-core 2.21
	$(call say,check-next: Python 3.12 with ansible-core 2.21)
	$(Q)PATH="$(ORIGINAL_PATH)" tools/setup .venv-next 3.12
	$(Q)$(MAKE) --no-print-directory VENV=.venv-next units sanity

browser: setup ## Run the tests of the report in a headless Chromium, and take pictures of it
	$(call say,browser: the report in Chromium)
	$(Q)tools/setup --browser
	$(Q)pytest --quiet tests/browser

testbed: link
	$(call say,testbed: Docker Engine$(comma) servers and images)
	$(Q)$(TESTBED) engine
	$(Q)$(TESTBED) build

integration: testbed ## Run the module tests against a Docker Engine on this machine
	$(call say,integration)
	$(Q)tools/in_copy ansible-test integration --local --allow-root --allow-destructive --color no

molecule: testbed ## Run the role tests on real servers
	$(call say,molecule)
	$(Q)# What an interrupted run believes to be there may be gone.
	$(Q)$(if $(filter test,$(MOLECULE)),rm -rf "$(MOLECULE_EPHEMERAL_DIRECTORY)")
	$(Q)molecule $(MOLECULE)

nightly: ## Run the role tests that take longest
	$(Q)$(MAKE) --no-print-directory molecule MOLECULE="test $(addprefix --scenario-name ,$(NIGHTLY))"

consoles: link ## Run the starter repository as AWX and Semaphore do
	$(call say,consoles: AWX and Semaphore)
	$(Q)tools/awx_collection
	$(Q)pytest --quiet --numprocesses auto --dist loadfile tests/consoles

test: check browser consoles integration molecule ## Run check, browser, consoles, integration and molecule: all but nightly
	$(call say,test passed)

demo: testbed ## Back up, destroy, restore and validate a CRM server, and show the figures
	$(call say,demo)
	$(Q)tests/demo/run

bench: testbed ## Measure against the runbook and bare tools: one table and build/bench.json
	$(call say,bench)
	$(Q)tests/bench/run

faults: testbed ## Break things during backup and restore: one table and build/faults.json
	$(call say,faults)
	$(Q)tests/faults/run

docs: link ## Render the documentation of modules and roles into build/docs/html
	$(Q)mkdir -p build/docs/rst && chmod go-w build/docs/rst
	$(Q)antsibull-docs collection --cleanup everything --fail-on-error --use-current --squash-hierarchy \
		--dest-dir build/docs/rst crm.continuity
	$(Q)# References into the documentation of Ansible itself stay plain text: no index is fetched.
	$(Q)sphinx-build --quiet --fail-on-warning -D suppress_warnings=ref.ref -C -D extensions=sphinx_antsibull_ext \
		-D project=crm.continuity -D html_theme=alabaster -D pygments_style=ansible -D default_role=any \
		-b html build/docs/rst build/docs/html
	@echo "Open build/docs/html/index.html"

dist: setup ## Build the collection archive into build/dist
	$(Q)tools/in_copy ansible-galaxy collection build --force --output-path "$(CURDIR)/build/dist"

clean: ## Remove what the targets above created, on this machine too
	$(Q)if [ -d build/testbed ]; then $(TESTBED) clean; fi
	rm -rf build .venv .venv-next tests/output
