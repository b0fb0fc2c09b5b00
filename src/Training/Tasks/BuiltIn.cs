using Gradus.Training.Tasks.RunningSums;

namespace Gradus.Training.Tasks;

/// <summary>What is there before anybody uploads anything: tasks, datasets and the model <c>tiny</c> (see <see cref="TinyModel"/>).</summary>
public static class BuiltIn
{
    /// <summary>The seed of the built-in datasets; a job's own seed is for everything else.</summary>
    public const long Seed = 1;

    public static IReadOnlyList<ITask> Tasks { get; } = [new RunningSumsTask(), new TimesTablesTask()];

    public static IReadOnlyList<BuiltInDataset> Datasets { get; } =
    [
        Sums("documents", 45_000, "Running sums: documents", "What a base model is trained on: running sums answered in many ways, right and wrong, in English and Chinese (prompt, completion)."),
        Sums("cold-start", 200, "Running sums: cold start", "Curated reasoning in the prompt's language, step by step or with checks (prompt, completion)."),
        Sums("general", 500, "Running sums: general skill", "Number words translated between English and Chinese (prompt, completion)."),
        Sums("problems", 20_000, "Running sums: problems", "Problems to train on by reinforcement learning (prompt, answer, language)."),
        Sums("held-out", HeldOut.ProblemCount, "Running sums: held out", "Problems for evaluation that occur in none of the other datasets (prompt, answer, language)."),
        Sums("general-held-out", HeldOut.GeneralCount, "Running sums: general skill, held out", "Translations for evaluation by exact match that occur in none of the other datasets (prompt, answer: the exact completion)."),
        new("times-tables", "Times tables", "What is A * B?, both from 2 to 12, as a user message (prompt, answer).", () => Task("times-tables").Generate("problems", TimesTablesTask.PairCount, Seed)),
    ];

    /// <exception cref="InvalidInputException">There is no such task.</exception>
    public static ITask Task(string name) => Tasks.FirstOrDefault(task => task.Name == name)
        ?? throw new InvalidInputException($"There is no task '{name}'; there are: {string.Join(", ", Tasks.Select(task => task.Name))}.", "task", "unknown_value");

    private static BuiltInDataset Sums(string kind, int count, string name, string description) =>
        new($"running-sums-{kind}", name, description, () => Task("running-sums").Generate(kind, count, Seed));
}
