using Gradus.Training.Rollouts;
using Xunit;

namespace Gradus.Training.Tests.Rollouts;

public sealed class ReflectiveWordsTests
{
    [Theory]
    [InlineData("Wait, wait. Let me re-evaluate and CHECK.", 4)]
    [InlineData("The waiter checked the button.", 0)]
    [InlineData("等等，这不对。重新计算，检查 wait一下。", 4)]
    [InlineData("", 0)]
    public void Whole_words_count_and_Chinese_has_no_spaces(string text, int count) => Assert.Equal(count, ReflectiveWords.Count(text));
}
