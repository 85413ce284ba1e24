// Who may be in the database: many readers or one writer, first come first served.

export class Lock {
  #readers = 0;
  #writing = false;
  #queue = [];

  /** Run *work* among other readers. */
  shared(work) {
    return this.#hold(false, work);
  }

  /** Run *work* alone. */
  exclusive(work) {
    return this.#hold(true, work);
  }

  async #hold(write, work) {
    await new Promise((enter) => {
      this.#queue.push({ write, enter });
      this.#admit();
    });
    try {
      return await work();
    } finally {
      if (write) this.#writing = false;
      else this.#readers -= 1;
      this.#admit();
    }
  }

  #admit() {
    while (this.#queue.length > 0 && !this.#writing && !(this.#queue[0].write && this.#readers > 0)) {
      const { write, enter } = this.#queue.shift();
      if (write) this.#writing = true;
      else this.#readers += 1;
      enter();
    }
  }
}
