"""What commissioning is made of: annotated cases, the store of maps, the measures, and the rules that judge them."""
