"""The services of Throughline; ARCHITECTURE.md tells what each decides."""
