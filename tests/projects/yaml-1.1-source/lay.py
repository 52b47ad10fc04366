import markupsafe

with open("/tmp/coachwork-masonry.txt", "w") as file:
    file.write("granite")
print("laid with markupsafe", markupsafe.__version__)
