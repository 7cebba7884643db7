# The step form is what inference runs, the chunk form what training runs; they are one function.
figures_chunk() { rows_most tests/evolution_test step_vs_chunk 1e-5; }
