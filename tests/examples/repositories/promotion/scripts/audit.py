print("audited")
