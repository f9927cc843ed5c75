package demo

// firstNames and lastNames are combined into the names of sample users.
func firstNames() []string {
	return []string{
		"Ada", "Amara", "Anders", "Anja", "Aoife", "Arjun", "Astrid", "Bao", "Beatriz", "Björn", "Carmen", "Chidi",
		"Chiara", "Dagmar", "Daniel", "Deniz", "Dorota", "Elif", "Emeka", "Emma", "Erik", "Farah", "Fatou", "Felix",
		"Freja", "Gabriel", "Giulia", "Grace", "Hamid", "Hana", "Henrik", "Ingrid", "Ioana", "Ivan", "Jana", "Jonas",
		"José", "Kaito", "Katja", "Kwame", "Lars", "Leila", "Lucía", "Magda", "Malik", "Marta", "Mei", "Mikael",
		"Nadia", "Niamh", "Noor", "Olga", "Oskar", "Priya", "Rafael", "Rosa", "Samir", "Sofia", "Tomás", "Yuki",
	}
}

func lastNames() []string {
	return []string{
		"Adeyemi", "Almeida", "Andersson", "Bauer", "Becker", "Bianchi", "Bondarenko", "Byrne", "Chen", "Costa",
		"Demir", "Diallo", "Dubois", "Eriksen", "Fernández", "Fischer", "García", "Haddad", "Hansen", "Horvat",
		"Ito", "Jansen", "Kaya", "Keller", "Khan", "Kim", "Kowalski", "Larsen", "Lindqvist", "Mbeki",
		"Moreau", "Müller", "Murphy", "Nakamura", "Ndiaye", "Nguyen", "Novak", "Okafor", "Oliveira", "Patel",
		"Petrov", "Popescu", "Rossi", "Sato", "Schmidt", "Silva", "Sharma", "Svensson", "Tanaka", "Weber",
	}
}

// roomTopics and roomPlaces are combined into the names of sample rooms.
func roomTopics() []string {
	return []string{"ops", "alerts", "deploys", "backups", "billing", "metrics", "support", "intake", "sensors", "archive"}
}

func roomPlaces() []string {
	return []string{"hq", "bergen", "lisbon", "nairobi", "osaka"}
}
