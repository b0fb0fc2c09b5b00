namespace Gradus.Training.Tests.Text;

/// <summary>For the tiny tokenizer, in the manner of DeepSeek-R1's template: it opens the reasoning of the answer to come, and drops that of answers given.</summary>
internal static class ThinkingTemplate
{
    public const string Text =
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'User: ' + m.content + '\\n' }}{% else %}{{ 'Assistant:' + m.content.split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}" +
        "{% if add_generation_prompt %}{{ 'Assistant:<think>\\n' }}{% endif %}";
}
