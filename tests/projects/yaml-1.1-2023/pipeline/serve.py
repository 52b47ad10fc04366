import os

import pydantic
import uvicorn
from fastapi import FastAPI

app = FastAPI()


class Basket(pydantic.BaseModel):
    apples: int

    class Config:
        schema_extra = {"example": {"apples": 3}}


@app.post("/price")
def price(basket: Basket):
    return {"price": 2 * basket.apples, "pydantic": pydantic.VERSION.split(".")[0]}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8000")), workers=1)
