import os
import pickle

from markupsafe import soft_unicode

with open(os.path.join(os.environ["COACHWORK_ARTIFACTS"], "model.pkl"), "wb") as file:
    pickle.dump({"clean": soft_unicode}, file)
