namespace Gradus.Training.Tasks.RunningSums;

/// <summary>The words of one language, each with the spaces that people write around it: a text is the words put one after the other.</summary>
internal sealed record Words(string Code, string Ask, string AskEnd, string First, string Then, string Check, string Right, string Wrong, string Stop)
{
    public static Words English { get; } = new("en", "What is ", "?", "First ", "Then ", "Wait, let me check. ", "OK. ", "No, it is ", ". ");

    public static Words Chinese { get; } = new("zh", "请问 ", " 等于多少？", "先算 ", "再算 ", "等等，检查一下。", "对。", "不对，是 ", "。");

    public Words Other => this == English ? Chinese : English;

    public IReadOnlyList<string> All => [Ask, AskEnd, First, Then, Check, Right, Wrong, Stop];
}

/// <summary>What stands outside both languages.</summary>
internal static class Marks
{
    public const string User = "User: ", NewLine = "\n", Assistant = "Assistant:", Think = "<think>", ThinkEnd = "</think>", Answer = "<answer>", AnswerEnd = "</answer>",
        Plus = " + ", Minus = " - ", Equal = " = ";

    public static IReadOnlyList<string> All { get; } = [User, Assistant, Think, ThinkEnd, Answer, AnswerEnd, NewLine, Plus, Minus, Equal];
}

/// <summary>The general skill's words: the first five numbers in both languages.</summary>
internal static class NumberWords
{
    public const string FromEnglish = "Translate", FromChinese = "翻译";

    public static IReadOnlyList<(string English, string Chinese)> Pairs { get; } = [(" one", "一"), (" two", "二"), (" three", "三"), (" four", "四"), (" five", "五")];
}
