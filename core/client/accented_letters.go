package client

// accentedLetters are the small letters of the Latin, Greek and Cyrillic scripts that Unicode
// composes of a letter and marks, or that differ from a letter by a stroke, each line after that
// letter. A mark of its own, which looks the same, is left out where names are compared.
const accentedLetters = `
aàáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ
bƀḃḅḇ
cçćĉċčƈḉ
dďđḋḍḏḑḓ
eèéêëēĕėęěȅȇȩɇḕḗḙḛḝẹẻẽếềểễệ
fƒḟ
gĝğġģǥǧǵḡ
hĥħȟḣḥḧḩḫẖ
iìíîïĩīĭįıǐȉȋḭḯỉị
jĵǰɉ
kķƙǩḱḳḵ
lĺļľłƚḷḹḻḽ
mḿṁṃ
nñńņňƞǹṅṇṉṋ
oòóôõöøōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ
pƥṕṗ
rŕŗřȑȓɍṙṛṝṟ
sśŝşšſșṡṣṥṧṩẛ
tţťŧƭțṫṭṯṱẗ
uùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự
vṽṿ
wŵẁẃẅẇẉẘ
xẋẍ
yýÿŷƴȳɏẏẙỳỵỷỹ
zźżžƶȥẑẓẕ
æǣǽ
øǿ
ʒǯ
ʹʹ
αάἀἁἂἃἄἅἆἇὰάᾀᾁᾂᾃᾄᾅᾆᾇᾰᾱᾲᾳᾴᾶᾷ
βϐ
εέϵἐἑἒἓἔἕὲέ
ηήἠἡἢἣἤἥἦἧὴήᾐᾑᾒᾓᾔᾕᾖᾗῂῃῄῆῇ
θϑ
ιΐίϊἰἱἲἳἴἵἶἷὶίιῐῑῒΐῖῗ
κϰ
οόὀὁὂὃὄὅὸό
πϖ
ρϱῤῥ
ςϲ
υΰϋύὐὑὒὓὔὕὖὗὺύῠῡῢΰῦῧ
φϕ
ωώὠὡὢὣὤὥὦὧὼώᾠᾡᾢᾣᾤᾥᾦᾧῲῳῴῶῷ
аӑӓ
гѓ
еѐёӗ
жӂӝ
зӟ
ийѝӣӥ
кќ
оӧ
уўӯӱӳ
чӵ
ыӹ
эӭ
ії
ѵѷ
әӛ
өӫ
`
