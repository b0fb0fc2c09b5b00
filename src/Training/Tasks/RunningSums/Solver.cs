using System.Text;

namespace Gradus.Training.Tasks.RunningSums;

/// <summary>How the reasoning goes: not at all; two operations at a time; two, then the same again one by one; one at a time.</summary>
internal enum SolvingStyle
{
    Direct,
    Coarse,
    Check,
    Fine,
}

/// <summary>Which language each sentence takes: the question's, the other one, or one drawn for each sentence.</summary>
internal enum LanguageMix
{
    Own,
    Other,
    Mixed,
}

/// <summary>
/// Writes reasoning with slips, as a corpus has them: two operations at once go wrong in 30 of 100, one in 10, one within a check in 2. A wrong
/// partial result is carried on.
/// </summary>
internal static class Solver
{
    private const double CoarseSlips = 0.30, FineSlips = 0.10, CheckSlips = 0.02;
    private static readonly int[] slips = [-10, -2, -1, 1, 2, 10];

    /// <returns>The reasoning and the result it comes to; <see cref="SolvingStyle.Direct"/> has none and is right.</returns>
    public static (string Reasoning, int Result) Solve(Problem problem, SolvingStyle style, LanguageMix mix, ref DerivedRandom random)
    {
        if (style == SolvingStyle.Direct) return ("", problem.Sum);
        var text = new StringBuilder();
        var sum = problem.Terms[0];
        var first = true;
        foreach (var chunk in problem.Terms.Skip(1).Chunk(style == SolvingStyle.Fine ? 1 : 2))
        {
            var words = Sentence(problem, mix, ref random);
            var result = Slip(sum + chunk.Sum(), chunk.Length == 1 ? FineSlips : CoarseSlips, ref random);
            text.Append(first ? words.First : words.Then).Append(Problem.Write([sum, .. chunk])).Append(Marks.Equal).Append(result).Append(words.Stop);
            if (style == SolvingStyle.Check && chunk.Length > 1) result = Check(problem, mix, sum, chunk, result, text, ref random);
            sum = result;
            first = false;
        }

        return (text.ToString(), sum);
    }

    /// <summary>The same step again, one operation at a time, and what it says of the result.</summary>
    private static int Check(Problem problem, LanguageMix mix, int sum, int[] chunk, int result, StringBuilder text, ref DerivedRandom random)
    {
        var words = Sentence(problem, mix, ref random);
        text.Append(words.Check);
        foreach (var term in chunk)
        {
            var next = Slip(sum + term, CheckSlips, ref random);
            text.Append(Problem.Write([sum, term])).Append(Marks.Equal).Append(next).Append(words.Stop);
            sum = next;
        }

        if (sum == result) text.Append(words.Right);
        else text.Append(words.Wrong).Append(sum).Append(words.Stop);
        return sum;
    }

    private static Words Sentence(Problem problem, LanguageMix mix, ref DerivedRandom random) => mix switch
    {
        LanguageMix.Own => problem.Language,
        LanguageMix.Other => problem.Language.Other,
        _ => random.Next(0, 2) == 0 ? problem.Language : problem.Language.Other,
    };

    private static int Slip(int result, double share, ref DerivedRandom random) => random.NextDouble() < share ? Math.Max(0, result + random.Pick(slips)) : result;
}
