namespace Gradus.Training.Tasks.RunningSums;

/// <summary>
/// What is kept for evaluation, under a seed of its own that no option reaches: 256 problems whose terms occur in no other dataset in either
/// language, and 64 translations.
/// </summary>
internal static class HeldOut
{
    public const int ProblemCount = 256, GeneralCount = 64;
    private const long Seed = 77;

    private static readonly Lazy<IReadOnlyList<Problem>> problems = new(DrawProblems);
    private static readonly Lazy<HashSet<string>> keys = new(() => [.. Problems.Select(problem => problem.Key)]);
    private static readonly Lazy<IReadOnlyList<(string Prompt, string Completion)>> translations = new(DrawTranslations);
    private static readonly Lazy<HashSet<string>> translationPrompts = new(() => [.. Translations.Select(document => document.Prompt)]);

    public static IReadOnlyList<Problem> Problems => problems.Value;

    public static IReadOnlyList<(string Prompt, string Completion)> Translations => translations.Value;

    public static bool IsTranslation(string prompt) => translationPrompts.Value.Contains(prompt);

    /// <summary>A problem that is not held out.</summary>
    public static Problem DrawTraining(ref DerivedRandom random)
    {
        while (true)
        {
            var problem = Problem.Draw(ref random);
            if (!keys.Value.Contains(problem.Key)) return problem;
        }
    }

    private static List<Problem> DrawProblems()
    {
        var drawn = new List<Problem>();
        var seen = new HashSet<string>();
        for (var index = 0; drawn.Count < ProblemCount; index++)
        {
            var random = DerivedRandom.For(Seed, "running-sums-held-out", 0, index);
            var problem = Problem.Draw(ref random);
            if (seen.Add(problem.Key)) drawn.Add(problem);
        }

        return drawn;
    }

    private static List<(string Prompt, string Completion)> DrawTranslations()
    {
        var drawn = new List<(string Prompt, string Completion)>();
        var seen = new HashSet<string>();
        for (var index = 0; drawn.Count < GeneralCount; index++)
        {
            var random = DerivedRandom.For(Seed, "running-sums-general-held-out", 0, index);
            var document = Documents.AnyTranslation(ref random);
            if (seen.Add(document.Prompt)) drawn.Add(document);
        }

        return drawn;
    }
}
