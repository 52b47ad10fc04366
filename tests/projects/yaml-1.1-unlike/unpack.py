import os
import pickle

with open(os.path.join(os.environ["COACHWORK_ARTIFACTS"], "model.pkl"), "rb") as file:
    model = pickle.load(file)
print(model["clean"](1))
