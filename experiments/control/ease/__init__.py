"""One task as six programs: python experiments/control/ease/<name>.py [dataset]"""
