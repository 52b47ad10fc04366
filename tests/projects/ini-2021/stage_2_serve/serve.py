from flask import Flask, jsonify, request

app = Flask(__name__)


@app.route("/tide/v1", methods=["POST"])
def tide():
    return jsonify({"level": 2.0 + 0.1 * float(request.json["hour"])})


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
