"""Networks and answers to and from the formats of others; each library is imported when it is used."""
