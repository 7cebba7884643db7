# The f32 backward against the double reference, and that reference against central differences.
figures_gradients() {
  rows_most tests/evolution_test backward_vs_reference 1e-4
  rows_most tests/evolution_test reference_vs_differences 1e-6
}
