"""The LSTM autoencoder on another system: LSTM -> Dropout -> RepeatVector -> LSTM -> Dropout -> Dense of each step.

usage: lstm.py keras|torch|jax [--units U] [--threads N]

A step is forward, mean squared error, backward and Adam on 128 windows of 288 steps; scoring is the reconstruction of 256.
"""
import os
import sys
import time

import common as c

peer, units, threads = sys.argv[1], int(c.arg("--units", "32")), c.arg("--threads", "2")
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ[variable] = threads
SCORED = 256
x = c.windows()[:SCORED]


def keras():
    import keras as k

    layers = k.layers
    model = k.Sequential([
        k.Input((c.T, 1)), layers.LSTM(units), layers.Dropout(0.2), layers.RepeatVector(c.T),
        layers.LSTM(units, return_sequences=True), layers.Dropout(0.2), layers.TimeDistributed(layers.Dense(1)),
    ])
    model.compile(optimizer="adam", loss="mse")
    b = x[:c.BATCH]
    return k.__version__, lambda: model.train_on_batch(b, b), lambda: model.predict(x, batch_size=SCORED, verbose=0)


def torch():
    import torch as t
    from torch import nn

    t.set_num_threads(int(threads))

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.LSTM(1, units, batch_first=True)
            self.decoder = nn.LSTM(units, units, batch_first=True)
            self.dense, self.dropout = nn.Linear(units, 1), nn.Dropout(0.2)

        def forward(self, x):
            _, (h, _) = self.encoder(x)
            h = self.dropout(h[-1]).unsqueeze(1).expand(-1, c.T, -1)
            return self.dense(self.dropout(self.decoder(h)[0]))

    model = Autoencoder()
    optimizer = t.optim.Adam(model.parameters(), 1e-3, eps=1e-7)
    data = t.from_numpy(x)
    b = data[:c.BATCH]

    def step():
        model.train()
        optimizer.zero_grad()
        ((model(b) - b) ** 2).mean().backward()
        optimizer.step()

    def score():
        model.eval()
        with t.no_grad():
            model(data)

    return t.__version__, step, score


def jax():
    import jax as j
    import jax.numpy as jnp

    keys = j.random.split(j.random.PRNGKey(0), 6)
    shapes = dict(w1=(1, 4 * units), u1=(units, 4 * units), w2=(units, 4 * units), u2=(units, 4 * units), w3=(units, 1))
    weights = {name: j.random.normal(key, shape) * 0.1 for (name, shape), key in zip(shapes.items(), keys)}
    weights |= dict(b1=jnp.zeros(4 * units), b2=jnp.zeros(4 * units), b3=jnp.zeros(1))

    def lstm(z, kernel):
        def cell(state, z):
            h, s = state
            i, f, a, o = jnp.split(z + h @ kernel, 4, -1)
            s = j.nn.sigmoid(f) * s + j.nn.sigmoid(i) * jnp.tanh(a)
            h = j.nn.sigmoid(o) * jnp.tanh(s)
            return (h, s), h

        zero = jnp.zeros((z.shape[1], units))
        return j.lax.scan(cell, (zero, zero), z)

    def dropout(h, key):
        return h if key is None else jnp.where(j.random.bernoulli(key, 0.8, h.shape), h / 0.8, 0)

    def model(p, x, keys):
        (h, _), _ = lstm(jnp.transpose(x, (1, 0, 2)) @ p["w1"] + p["b1"], p["u1"])
        z = jnp.broadcast_to((dropout(h, keys[0]) @ p["w2"] + p["b2"])[None], (c.T, x.shape[0], 4 * units))
        y = dropout(lstm(z, p["u2"])[1], keys[1])
        return jnp.transpose(y @ p["w3"] + p["b3"], (1, 0, 2))

    @j.jit
    def train(p, m, v, x, key):
        loss = lambda p: jnp.mean((model(p, x, j.random.split(key)) - x) ** 2)
        g = j.grad(loss)(p)
        m = j.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = j.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        return j.tree.map(lambda p, m, v: p - 1e-3 * m / (jnp.sqrt(v) + 1e-7), p, m, v), m, v

    predict = j.jit(lambda p, x: model(p, x, (None, None)))
    zeros = j.tree.map(jnp.zeros_like, weights)
    state = [weights, zeros, zeros]

    def step():
        state[:] = train(*state, x[:c.BATCH], keys[5])
        j.block_until_ready(state)

    return j.__version__, step, lambda: predict(state[0], x).block_until_ready()


version, step, score = {"keras": keras, "torch": torch, "jax": jax}[peer]()
for what, work in (("lstm step", step), ("lstm scoring", score)):
    work()
    times, busy, began = [], c.Busy(), time.perf_counter()
    while len(times) < 20 and (len(times) < 5 or time.perf_counter() - began < 30):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    c.emit(what=what, peer=peer, variant=f"{units} units", threads=int(threads), versions=version, **c.stats(times),
           **busy.done())
