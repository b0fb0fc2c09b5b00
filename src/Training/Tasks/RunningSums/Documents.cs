namespace Gradus.Training.Tasks.RunningSums;

/// <summary>
/// Prompts with completions. A completion has no end token: the stage that trains on it adds the tokenizer's. The weights link skill to language as a
/// base corpus does: text in the question's own language prefers the short ways, other and mixed text the long ones.
/// </summary>
internal static class Documents
{
    private static readonly double[] mixes = [.5, .2, .3]; // own, other, mixed
    private static readonly double[] ownStyles = [.35, .35, .12, .18], otherStyles = [.15, .25, .35, .25]; // direct, coarse, check, fine
    private const double Untagged = .3, General = .06, ColdChecks = .6;

    /// <summary>A document of the base corpus: 94 of 100 a running sum, 6 the general skill.</summary>
    public static (string Prompt, string Completion) Base(ref DerivedRandom random)
    {
        if (random.NextDouble() < General) return Translation(ref random);
        var problem = HeldOut.DrawTraining(ref random);
        var mix = (LanguageMix)Weighted(mixes, ref random);
        var style = (SolvingStyle)Weighted(mix == LanguageMix.Own ? ownStyles : otherStyles, ref random);
        var (reasoning, result) = Solver.Solve(problem, style, mix, ref random);
        return (problem.Prompt, random.NextDouble() < Untagged ? reasoning + result : Tagged(reasoning, $"{result}"));
    }

    /// <summary>A curated document: with checks or one step at a time, in the question's language, always with tags.</summary>
    public static (string Prompt, string Completion) ColdStart(ref DerivedRandom random)
    {
        var problem = HeldOut.DrawTraining(ref random);
        var style = random.NextDouble() < ColdChecks ? SolvingStyle.Check : SolvingStyle.Fine;
        var (reasoning, result) = Solver.Solve(problem, style, LanguageMix.Own, ref random);
        return (problem.Prompt, Tagged(reasoning, $"{result}"));
    }

    /// <summary>The general skill, none of the held-out ones.</summary>
    public static (string Prompt, string Completion) Translation(ref DerivedRandom random)
    {
        while (true)
        {
            var document = AnyTranslation(ref random);
            if (!HeldOut.IsTranslation(document.Prompt)) return document;
        }
    }

    /// <summary>Two to four number words from one language into the other.</summary>
    public static (string Prompt, string Completion) AnyTranslation(ref DerivedRandom random)
    {
        var words = new (string English, string Chinese)[random.Next(2, 5)];
        for (var i = 0; i < words.Length; i++) words[i] = random.Pick(NumberWords.Pairs);
        string english = string.Concat(words.Select(w => w.English)), chinese = string.Concat(words.Select(w => w.Chinese));
        var fromEnglish = random.Next(0, 2) == 0;
        var question = fromEnglish ? NumberWords.FromEnglish + english : NumberWords.FromChinese + chinese;
        return ($"{Marks.User}{question}{Marks.NewLine}{Marks.Assistant}", Tagged("", fromEnglish ? chinese : english));
    }

    private static string Tagged(string reasoning, string answer) => $"{Marks.Think}{reasoning}{Marks.ThinkEnd}{Marks.Answer}{answer}{Marks.AnswerEnd}";

    private static int Weighted(double[] weights, ref DerivedRandom random)
    {
        var draw = random.NextDouble();
        var i = 0;
        while (i < weights.Length - 1 && (draw -= weights[i]) >= 0) i++;
        return i;
    }
}
