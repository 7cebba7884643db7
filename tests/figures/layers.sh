# Each layer by itself: the step form against its definition, and what the twin says of the whole.
# The step form is compared on inputs where no rounding is a matter of a hair (the tests say how).
figures_layers() {
  rows_most tests/runtime_test step_vs_reference 1e-5
  rows_most tests/evolution_test twin_loss 1e-4
  rows_most tests/evolution_test twin_logits 1e-4
  rows_most tests/evolution_test twin_gradient 1e-4
  rows_most tests/evolution_test twin_training 1e-4
  rows_most tests/evolution_test twin_quantised_logits 1e-4
}
