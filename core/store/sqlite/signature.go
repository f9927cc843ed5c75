package sqlite

// signatureTable is where a backup keeps who made it. No other file has it.
const signatureTable = "backup_signature"

const signatureSchema = "CREATE TABLE " + signatureTable + "(format INTEGER, signer TEXT, node TEXT, signed_at INTEGER, signature BLOB)"

func signatureObject() object {
	return object{"table", signatureTable, signatureTable, signatureSchema}
}
