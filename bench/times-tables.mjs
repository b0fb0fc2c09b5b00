// Prints the table of times-tables.sh: node times-tables.mjs TRL.json METRICS.jsonl [METRICS.jsonl ...], a file for each seed. TRL.json holds the same of TRL, or is absent.
import {existsSync, readFileSync} from "node:fs";

const [reference, ...files] = process.argv.slice(2);
const ours = files.map((file) => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line)));
const theirs = existsSync(reference) ? Object.values(JSON.parse(readFileSync(reference, "utf8")).seeds) : [];
const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
const rewards = (run) => run.map((step) => step.reward);
const row = (cells) => console.log(`| ${cells.join(" | ")} |`);
const numbers = (values, digits) => values.map((value) => value === undefined ? "" : value.toFixed(digits));

// The step that ends the first three whose mean reward is 0.80, and the seconds since the first began.
const reached = (run) => {
    const at = run.findIndex((_, i) => i >= 2 && mean(rewards(run).slice(i - 2, i + 1)) >= 0.8);
    return at < 0 ? "never" : `step ${run[at].step}, ${run[at].wall.toFixed(0)} s`;
};

const steps = Math.max(...ours.map((run) => run.length));
row(["step", ...Array.from({length: steps}, (_, i) => i + 1)]);
row(["---", ...Array(steps).fill("---")]);
ours.forEach((run, seed) => row([`ours ${seed + 1}`, ...numbers(rewards(run), 2)]));
theirs.forEach((run, seed) => row([`TRL ${seed + 1}`, ...numbers(rewards(run).slice(0, steps), 2)]));
console.log();

// How many means of three steps lie between the lowest and the highest of TRL's seeds at the same steps, give or take what 192 rewards vary by: ours, and each of TRL's among its others.
const of = (run, i) => mean(rewards(run).slice(i - 2, i + 1));
const within = (name, run, others) => {
    if (others.length === 0) return;
    const shared = Math.min(run.length, ...others.map((other) => other.length));
    const outside = [];
    for (let i = 2; i < shared; i++) {
        const all = others.map((other) => of(other, i)), middle = of(run, i), slack = 2 * Math.sqrt(middle * (1 - middle) / 192);
        if (middle < Math.min(...all) - slack || middle > Math.max(...all) + slack) outside.push(run[i].step);
    }
    console.log(`${name}: ${shared - 2 - outside.length} of ${shared - 2} means of three steps among ${others.length} of TRL's${outside.length ? `; not those that end with step ${outside.join(", ")}` : ""}`);
};
ours.forEach((run, seed) => within(`ours ${seed + 1}`, run, theirs));
theirs.forEach((run, seed) => within(`TRL ${seed + 1}`, run, theirs.filter((other) => other !== run)));
[["ours", ours], ["TRL", theirs]].forEach(([name, runs]) => runs.forEach((run, seed) => {
    const first = run.slice(0, 5);
    console.log(`${name} ${seed + 1}: first five steps ${mean(first.map((step) => step.step_time)).toFixed(2)} s each, ${mean(first.map((step) => step["completions/mean_length"])).toFixed(1)} tokens a completion; 0.80 at ${reached(run)}`);
}));

console.log("\n| phase, ms a step, first five steps | " + ours.map((_, seed) => `ours ${seed + 1}`).join(" | ") + " |");
row(["---", ...ours.map(() => "---")]);
for (const name of Object.keys(ours[0][0]).filter((name) => name.startsWith("time/")))
    row([name.slice(5), ...ours.map((run) => (1000 * mean(run.slice(0, 5).map((step) => step[name] ?? 0))).toFixed(0))]);
for (const name of ["rollout_tokens_per_second", "train_tokens_per_second"]) row([name, ...ours.map((run) => mean(run.slice(0, 5).map((step) => step[name])).toFixed(0))]);
