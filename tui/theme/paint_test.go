package theme

import "testing"

// TestPaintIsTheStyle: painting a line is what its style renders, in every mode and tone.
func TestPaintIsTheStyle(t *testing.T) {
	t.Parallel()
	for _, m := range Modes() {
		th := New(m, false)
		for tone := Plain; tone <= Strong; tone++ {
			for _, text := range []string{"n1", "two words", " a  b ", "●", "a\nb", "a\tb"} {
				if got, want := th.Paint(tone, text), th.styles[tone].Render(text); got != want {
					t.Errorf("%s, tone %d: %q is painted %q, want %q", m, tone, text, got, want)
				}
			}
		}
	}
}
