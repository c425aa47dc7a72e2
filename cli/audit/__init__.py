"""`bookplate audit`: every registered test of many suspects, from one file to one bundle."""
