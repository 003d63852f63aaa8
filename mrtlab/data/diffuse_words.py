"""Word lists for `mrtlab.data.diffuse_set`, written for this book. Countries are the members of the United Nations."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.replace("\n", " ").split(",") if word.strip())


NAMES = _words("""
Aaron, Abigail, Ada, Adam, Agnes, Ahmed, Aisha, Alan, Albert, Alice, Alma, Amara, Amelia, Amir, Ana, Andre, Andrea,
Anita, Anton, April, Arthur, Astrid, Audrey, Axel, Bella, Benjamin, Bianca, Boris, Brian, Bruno, Camila, Carl, Carmen,
Caroline, Cecilia, Cedric, Chloe, Clara, Claude, Colin, Connor, Cora, Daisy, Dana, Daniel, Daphne, David, Deborah,
Dennis, Diana, Diego, Dora, Dylan, Edith, Edward, Elena, Elias, Elisa, Ella, Emil, Emma, Eric, Esther, Ethan, Eva,
Fatima, Felix, Fiona, Flora, Frances, Frank, Freya, Gabriel, George, Gina, Gloria, Grace, Greta, Hannah, Harold, Hassan,
Hazel, Hector, Helen, Henry, Hugo, Ian, Ibrahim, Ida, Ingrid, Irene, Iris, Isaac, Ivan, Ivy, Jack, Jacob, Jade, James,
Jane, Jasmine, Jean, Joan, Joel, John, Jonas, Joseph, Joy, Judith, Julia, Julian, Kai, Karen, Karim, Kate, Keith, Kenji,
Kevin, Kim, Klaus, Kofi, Lara, Laura, Leah, Leila, Leo, Leon, Lily, Linda, Lisa, Louis, Lucas, Lucy, Luis, Lydia, Maja,
Marco, Maria, Mark, Martha, Martin, Mary, Matthew, Maya, Mei, Mia, Michael, Miguel, Mina, Miriam, Mohamed, Molly, Nadia,
Nancy, Naomi, Nathan, Nina, Noah, Nora, Olga, Oliver, Omar, Oscar, Otto, Pablo, Patrick, Paul, Paula, Peter, Philip,
Priya, Rachel, Rafael, Raj, Ravi, Rebecca, Rita, Robert, Rosa, Ruby, Ruth, Samuel, Sandra, Sara, Sean, Simon, Sofia,
Stella, Susan, Tara, Theo, Thomas, Tina, Vera, Victor, Wendy, William, Yara, Yusuf, Zoe
""")

FRUITS = _words("""
acai, ackee, apple, apricot, avocado, banana, bilberry, blackberry, blackcurrant, blood orange, blueberry, boysenberry,
breadfruit, cantaloupe, carambola, cherimoya, cherry, clementine, cloudberry, coconut, crab apple, cranberry, damson,
date, dragon fruit, durian, elderberry, feijoa, fig, gooseberry, grape, grapefruit, guava, honeydew, huckleberry,
jackfruit, jujube, kiwi, kumquat, lemon, lime, lingonberry, loganberry, longan, loquat, lychee, mandarin, mango,
mangosteen, medlar, melon, mirabelle, mulberry, nectarine, orange, papaya, passion fruit, pawpaw, peach, pear,
persimmon, pineapple, plantain, plum, pomegranate, pomelo, prickly pear, quince, rambutan, raspberry, redcurrant,
rose hip, salak, satsuma, sloe, soursop, strawberry, tamarillo, tamarind, tangerine, watermelon
""")

JOBS = _words("""
accountant, acrobat, actor, actuary, acupuncturist, administrator, air traffic controller, ambassador, ambulance
driver, anaesthetist, animator, anthropologist, archaeologist, architect, archivist, astronaut, astronomer, auditor,
baker, banker, barber, barista, bartender, beekeeper, biologist, blacksmith, bookkeeper, bookseller, botanist,
bricklayer, broadcaster, builder, bus driver, butcher, cabinet maker, cameraman, cardiologist, caretaker, carpenter,
cartographer, cashier, chef, chemist, childminder, chimney sweep, choreographer, civil engineer, cleaner, clockmaker,
coach, cobbler, comedian, composer, conductor, confectioner, conservator, cook, coroner, courier, crane operator,
curator, dairy farmer, dancer, data analyst, decorator, dentist, dermatologist, designer, detective, dietitian,
diplomat, diver, doctor, dog trainer, driver, ecologist, economist, editor, electrician, embroiderer, engineer, estate
agent, farmer, ferry captain, film director, firefighter, fishmonger, fisherman, flight attendant, florist, forester,
game designer, gardener, geologist, glassblower, glazier, goldsmith, graphic designer, grocer, hairdresser, harbour
master, historian, horse trainer, hotel manager, illustrator, immunologist, inspector, instrument maker, interpreter,
jeweller, joiner, journalist, judge, laboratory technician, landscape architect, lawyer, lecturer, librarian,
lifeguard, lighthouse keeper, linguist, locksmith, lumberjack, machinist, magician, mail carrier, make-up artist,
manager, marine biologist, masseur, mathematician, mayor, mechanic, meteorologist, midwife, miller, miner, model
maker, musician, neurologist, novelist, nurse, nutritionist, oceanographer, optician, organist, painter, paramedic,
park ranger, pastry cook, pathologist, pharmacist, photographer, physicist, physiotherapist, pianist, pilot,
plasterer, plumber, poet, police officer, politician, postman, potter, printer, producer, professor, programmer,
psychologist, publisher, puppeteer, radiologist, receptionist, referee, reporter, roofer, sailor, scientist, sculptor,
secretary, seismologist, shepherd, singer, social worker, soldier, statistician, stonemason, surgeon, surveyor,
tailor, taxi driver, teacher, translator, tree surgeon, upholsterer, veterinarian, waiter, weaver, welder, zoologist
""")

COUNTRIES = {
    "Africa": _words("""
Algeria, Angola, Benin, Botswana, Burkina Faso, Burundi, Cabo Verde, Cameroon, Central African Republic, Chad, Comoros,
Democratic Republic of the Congo, Djibouti, Egypt, Equatorial Guinea, Eritrea, Eswatini, Ethiopia, Gabon, Gambia, Ghana,
Guinea, Guinea-Bissau, Ivory Coast, Kenya, Lesotho, Liberia, Libya, Madagascar, Malawi, Mali, Mauritania, Mauritius,
Morocco, Mozambique, Namibia, Niger, Nigeria, Republic of the Congo, Rwanda, Sao Tome and Principe, Senegal, Seychelles,
Sierra Leone, Somalia, South Africa, South Sudan, Sudan, Tanzania, Togo, Tunisia, Uganda, Zambia, Zimbabwe
"""),
    "Asia": _words("""
Afghanistan, Armenia, Azerbaijan, Bahrain, Bangladesh, Bhutan, Brunei, Cambodia, China, Cyprus, Georgia, India,
Indonesia, Iran, Iraq, Israel, Japan, Jordan, Kazakhstan, Kuwait, Kyrgyzstan, Laos, Lebanon, Malaysia, Maldives,
Mongolia, Myanmar, Nepal, North Korea, Oman, Pakistan, Philippines, Qatar, Saudi Arabia, Singapore, South Korea,
Sri Lanka, Syria, Tajikistan, Thailand, Timor-Leste, Turkey, Turkmenistan, United Arab Emirates, Uzbekistan, Vietnam,
Yemen
"""),
    "Europe": _words("""
Albania, Andorra, Austria, Belarus, Belgium, Bosnia and Herzegovina, Bulgaria, Croatia, Czechia, Denmark, Estonia,
Finland, France, Germany, Greece, Hungary, Iceland, Ireland, Italy, Latvia, Liechtenstein, Lithuania, Luxembourg, Malta,
Moldova, Monaco, Montenegro, Netherlands, North Macedonia, Norway, Poland, Portugal, Romania, Russia, San Marino,
Serbia, Slovakia, Slovenia, Spain, Sweden, Switzerland, Ukraine, United Kingdom
"""),
    "North America": _words("""
Antigua and Barbuda, Bahamas, Barbados, Belize, Canada, Costa Rica, Cuba, Dominica, Dominican Republic, El Salvador,
Grenada, Guatemala, Haiti, Honduras, Jamaica, Mexico, Nicaragua, Panama, Saint Kitts and Nevis, Saint Lucia,
Saint Vincent and the Grenadines, Trinidad and Tobago, United States
"""),
    "Oceania": _words("""
Australia, Fiji, Kiribati, Marshall Islands, Micronesia, Nauru, New Zealand, Palau, Papua New Guinea, Samoa,
Solomon Islands, Tonga, Tuvalu, Vanuatu
"""),
    "South America": _words("""
Argentina, Bolivia, Brazil, Chile, Colombia, Ecuador, Guyana, Paraguay, Peru, Suriname, Uruguay, Venezuela
"""),
}
