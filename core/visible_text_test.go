package core_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"unibus/core"
)

func TestNamesKeepTheirJoiners(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"👨\u200d👩\u200d👧\u200d👦", "👩🏽\u200d🔬", "❤️\u200d🔥", "🏳️\u200d🌈", "🏴\u200d☠️", "⛹🏻\u200d♀️", "🙂\u200d↔️", "🏃\u200d♂️\u200d➡️", "1️⃣", "#️⃣", "ℹ️", "©️", "❤︎", "👍🏽", "🇩🇪", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
		"می\u200cخواهم", "امیر\u200cحسین", "خانه\u200cای", "ه\u200d", "ه\u200d ق", "عَلی\u200cرضا", "PDF\u200cها", "۲۰\u200cتایی", "20\u200cتایی", "café\u200cها", "«سایت»\u200cها", "ශ්\u200dරී ලංකා", "क्\u200dष", "क्\u200cष", "র\u200d্যাব", "ന്\u200d", "ನ್\u200cನ", "葛\U000e0100", "ᠠ\u180b", "٪\u0600", "한국어", "e\u0301", "plain",
	} {
		if got := core.VisibleText(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
		if err := core.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNamesCannotHideAnything(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"ad\u200dmin", "ad\u200cmin", "\u200dadmin", "admin\u200d", "علی\u200c", "PDF\u200c", "PDF\u200dها", "PDF\u200cא", "۲۰\u200c", "\u200cها", " \u200cها", "PDF\u200c\u200cها", "PDF\u200c\u064eها", "می\u200c\u200cخواهم", "א\u200cב", "а\u200dб", "👨\u200d", "👨\u200cx", "👨\u200dx", "★\u200d★", "क\u200dक", "क\u200c",
		"ad\u200bmin", "ad\u2060min", "ad\ufeffmin", "ad\u00admin", "a\u034fb", "a\u115fb", "a\u3164b", "a\uffa0b", "a\ufe0fb", "1\ufe0f", "a\ufe00", "❤\ufe0f\ufe0f", "日\ufe0f", "a\U000E0061", "🏴\U000E0067\U000E0062", "a\u180bb",
		"a\u202eb", "a\u2066b", "a\u200fb", "a\u061cb", "a\u2028b", "a\u009bb", "a\x1bb", "a\x7fb", "a\u180eb",
	} {
		got := core.VisibleText(name)
		if !strings.ContainsRune(got, '\uFFFD') {
			t.Errorf("%+q stayed %+q", name, got)
		}
		if err := core.CheckName(name); core.KindOf(err) != core.KindInvalid {
			t.Errorf("%+q is accepted as a name: %v", name, err)
		}
	}
	if err := core.CheckName("two\nlines"); core.KindOf(err) != core.KindInvalid {
		t.Errorf("a name of two lines: %v", err)
	}
}

// TestNamesLookLikeThemselves: a new name can be seen, and differs from others in what can be seen. One that is stored
// already is a user's as before, and is shown in quotes.
func TestNamesLookLikeThemselves(t *testing.T) {
	t.Parallel()
	for name, shown := range map[string]string{
		"": `""`, " ": `" "`, "ana ": `"ana "`, " ana": `" ana"`, "\u2800": `"\u2800"`, "ana\u2800": `"ana\u2800"`, "\u00a0": `"\u00a0"`, "\u3000": `"\u3000"`, "ana\u2003": `"ana\u2003"`,
		"\u0301": `"\u0301"`, "\u0301ana": `"\u0301ana"`, "\u20e3": `"\u20e3"`, "\u1680ana": `"\u1680ana"`, " \u00a0": `" \u00a0"`, "\U0001D159": `"\U0001d159"`,
	} {
		if err := core.CheckName(name); core.KindOf(err) != core.KindInvalid || core.AsError(err).Next == "" {
			t.Errorf("%+q is accepted as a name: %v", name, err)
		}
		if got := core.ShownName(name); got != shown {
			t.Errorf("%+q is shown as %s, want %s", name, got, shown)
		}
		u := core.User{ID: "UBHMADHVFGSZBX2QUDESYIA4SOMRMTG557JDKIYDTHMCFMTT3SFMKCXW", Name: &name, Role: core.RoleMember, Status: core.UserActive}
		if id, err := core.ParseUserID(string(u.ID)); err != nil || id != u.ID {
			t.Fatal(err)
		}
		if err := core.CheckUser(u); err != nil {
			t.Errorf("a store cannot keep %+q: %v", name, err)
		}
	}
	for _, name := range []string{"ana", "ana lee", "a\u2800b", "e\u0301", "日本 語", "⠁⠃"} {
		if err := core.CheckName(name); err != nil || core.ShownName(name) != name {
			t.Errorf("%+q: %v, shown as %s", name, err, core.ShownName(name))
		}
	}
}

func TestVisibleTextIsStable(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"م\ufe0f\u200cم", "م\u202e\u200cم"} {
		once := core.VisibleText(text)
		if twice := core.VisibleText(once); twice != once {
			t.Errorf("%+q became %+q, then %+q", text, once, twice)
		}
	}
	pieces := []string{"\u200c", "\u200d", "\ufe0f", "\u202e", "👨", "🏽", "❤", "م", "َ", "ශ", "්", "a", " ", "\U0001F3F4", "\U000E0067", "\U000E007F", "1", "\u20e3", "\n"}
	rapid.Check(t, func(r *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(r, "text"), "") + rapid.String().Draw(r, "more")
		once := core.VisibleText(text)
		if twice := core.VisibleText(once); twice != once {
			t.Fatalf("%+q became %+q, then %+q", text, once, twice)
		}
	})
}
